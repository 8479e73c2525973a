"""What a proof must show: every way to fake one is refused whole."""

from dataclasses import replace

import pytest

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import Digest, Epoch, ValidatorIndex, View
from potp2p.protocol.consensus.justification import verify_message
from potp2p.protocol.wire.consensus import (
    PreparedCertificate,
    PreparedClaim,
    ProvenViewChange,
    SignedMessage,
)
from potp2p.simulation.core.messages import certificate, prepare, propose, view_change
from potp2p.simulation.core.stubs import start
from tests.doubles.committee import APPLE, PEAR, Bench

FACTS = start(7, 6)
QUORUM = (0, 1, 2, 3, 4)
PROOF = certificate(APPLE, QUORUM, view=1)
SHOWN = tuple(view_change(signer, 2) for signer in QUORUM)
CLAIMED = (*SHOWN[:4], view_change(4, 2, certificate=PROOF))


def refused(message: SignedMessage) -> RejectionReason:
    """Return why a message is refused, and check that the machine ignores it too."""
    bench, untouched = Bench(FACTS), Bench(FACTS)
    assert bench.hear(message) == []
    assert bench.replica == untouched.replica
    with pytest.raises(PeerError) as caught:
        verify_message(FACTS, message)
    return caught.value.reason


def test_honest_messages_pass() -> None:
    for message in (
        prepare(0, APPLE),
        view_change(3, 2),
        view_change(3, 2, certificate=PROOF),
        propose(0, APPLE),
        propose(2, PEAR, view=2, view_changes=SHOWN),
        propose(2, APPLE, view=2, view_changes=CLAIMED, certificate=PROOF),
    ):
        verify_message(FACTS, message)


@pytest.mark.parametrize(
    "proof",
    [
        certificate(APPLE, QUORUM[:4], view=1),
        certificate(APPLE, (0, 1, 2, 3, 3), view=1),
        certificate(APPLE, (0, 0, 0, 0, 0), view=1),
        certificate(APPLE, (4, 3, 2, 1, 0), view=1),
        certificate(APPLE, (0, 1, 2, 3, 7), view=1),
        certificate(APPLE, (), view=1),
        replace(PROOF, epoch=Epoch(1)),
        certificate(APPLE, QUORUM, view=1, height=2),
    ],
)
def test_certificate_that_is_no_quorum_of_this_place_proves_nothing(
    proof: PreparedCertificate,
) -> None:
    message = replace(view_change(3, 2, certificate=PROOF), certificate=proof)

    assert refused(message) is RejectionReason.BAD_JUSTIFICATION


@pytest.mark.parametrize(
    "claim", [PreparedClaim(View(0), APPLE), PreparedClaim(View(1), PEAR), None]
)
def test_certificate_of_another_claim_proves_nothing(claim: PreparedClaim | None) -> None:
    statement = replace(view_change(3, 2).statement, prepared=claim)
    message = ProvenViewChange(statement, view_change(3, 2).signature, PROOF)

    assert refused(message) is RejectionReason.BAD_JUSTIFICATION


def test_claim_without_certificate_is_refused() -> None:
    message = replace(view_change(3, 2, certificate=PROOF), certificate=None)

    assert refused(message) is RejectionReason.BAD_JUSTIFICATION


def test_claim_of_a_view_not_yet_left_is_refused() -> None:
    proof = certificate(APPLE, QUORUM, view=2)

    assert refused(view_change(3, 2, certificate=proof)) is RejectionReason.BAD_JUSTIFICATION


def test_view_change_to_view_0_or_on_another_parent_is_refused() -> None:
    assert refused(view_change(3, 0)) is RejectionReason.BAD_JUSTIFICATION
    assert refused(view_change(3, 2, head=Digest(b"x" * 32))) is RejectionReason.BAD_JUSTIFICATION


def test_statement_of_another_epoch_is_refused() -> None:
    message = prepare(0, APPLE)
    other = replace(message, statement=replace(message.statement, epoch=Epoch(1)))

    assert refused(other) is RejectionReason.BAD_JUSTIFICATION


def test_proposal_by_another_than_the_primary_is_refused() -> None:
    assert refused(propose(1, APPLE)) is RejectionReason.NOT_PRIMARY
    assert refused(propose(3, APPLE, view=2, view_changes=SHOWN)) is RejectionReason.NOT_PRIMARY


def test_first_view_takes_no_proof() -> None:
    with_changes = propose(0, APPLE, view_changes=SHOWN)
    with_certificate = propose(0, APPLE, certificate=PROOF)

    assert refused(with_changes) is RejectionReason.BAD_JUSTIFICATION
    assert refused(with_certificate) is RejectionReason.BAD_JUSTIFICATION


@pytest.mark.parametrize(
    "shown",
    [
        (),
        SHOWN[:4],
        (SHOWN[0],) * 5,
        (*SHOWN[:4], SHOWN[3]),
        tuple(reversed(SHOWN)),
        (*SHOWN[:4], view_change(4, 1)),
        (*SHOWN[:4], view_change(4, 3)),
        (*SHOWN[:4], view_change(4, 2, height=2)),
        (*SHOWN[:4], view_change(7, 2)),
        (*SHOWN[:4], view_change(4, 2, head=Digest(b"x" * 32))),
    ],
)
def test_later_view_needs_a_quorum_of_distinct_view_changes_to_it(
    shown: tuple[ProvenViewChange, ...],
) -> None:
    message = propose(2, APPLE, view=2, view_changes=shown)

    assert refused(message) in (RejectionReason.BAD_JUSTIFICATION, RejectionReason.WRONG_SENDER)


def test_new_primary_may_not_drop_the_certified_block() -> None:
    dropped = propose(2, PEAR, view=2, view_changes=CLAIMED, certificate=PROOF)
    hidden = propose(2, PEAR, view=2, view_changes=CLAIMED)
    unasked = propose(2, APPLE, view=2, view_changes=SHOWN, certificate=PROOF)

    assert refused(dropped) is RejectionReason.BAD_JUSTIFICATION
    assert refused(hidden) is RejectionReason.BAD_JUSTIFICATION
    assert refused(unasked) is RejectionReason.BAD_JUSTIFICATION


def test_new_primary_may_not_prefer_a_lower_certificate() -> None:
    low = certificate(PEAR, QUORUM, view=0)
    shown = (view_change(0, 2, certificate=low), *CLAIMED[1:])

    assert refused(propose(2, PEAR, view=2, view_changes=shown, certificate=low)) is (
        RejectionReason.BAD_JUSTIFICATION
    )
    verify_message(FACTS, propose(2, APPLE, view=2, view_changes=shown, certificate=PROOF))


def test_two_claims_of_one_view_cannot_both_be_true() -> None:
    other = certificate(PEAR, QUORUM, view=1)
    shown = (view_change(0, 2, certificate=other), *CLAIMED[1:])

    for chosen in (PROOF, other):
        message = propose(2, chosen.block_hash, view=2, view_changes=shown, certificate=chosen)
        assert refused(message) is RejectionReason.BAD_JUSTIFICATION


def test_signer_beyond_the_committee_has_no_seat() -> None:
    message = prepare(0, APPLE)
    statement = replace(message.statement, signer=ValidatorIndex(7))

    assert refused(replace(message, statement=statement)) is RejectionReason.WRONG_SENDER
