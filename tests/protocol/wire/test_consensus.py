"""Consensus messages: what is signed, what crosses the stream, and what is refused."""

from hashlib import sha256
from typing import get_args

import pytest

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import (
    BLOCK_BYTES_MAX,
    BLOCK_OVERHEAD_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    VALIDATORS_MAX,
)
from potp2p.foundation.types import Height, View
from potp2p.protocol.wire.blocks import COMMIT_DOMAIN, CommitStatement
from potp2p.protocol.wire.consensus import (
    BlockPush,
    BlockRequest,
    ConsensusFrame,
    SealNotice,
    Statement,
    Status,
    decode_frame,
    encode_frame,
    signed_parts,
)
from potp2p.protocol.wire.schema import encode
from potp2p.simulation.core.messages import certificate, commit, prepare, propose, seal, view_change
from tests.doubles.committee import APPLE, quorum_of

QUORUM = (0, 1, 2)
PROOF = certificate(APPLE, QUORUM)
SHOWN = (view_change(0, 1), view_change(1, 1), view_change(2, 1, certificate=PROOF))
FRAMES: tuple[ConsensusFrame, ...] = (
    prepare(1, APPLE, view=2, height=300),
    commit(1, APPLE, view=2, height=300),
    view_change(3, 7),
    view_change(3, 7, certificate=PROOF),
    propose(0, APPLE),
    propose(1, APPLE, view=1, view_changes=SHOWN, certificate=PROOF),
    Status(
        Height(9), View(3), has_proposal=True, prepares=b"\7", commits=b"", view_changes=b"\0\1"
    ),
    SealNotice(seal(APPLE, QUORUM)),
    BlockRequest(Height(9), APPLE),
    BlockPush(Height(9), b"block"),
)


@pytest.mark.parametrize("frame", FRAMES)
def test_frame_survives_the_wire(frame: ConsensusFrame) -> None:
    assert decode_frame(encode_frame(frame)) == frame


@pytest.mark.parametrize("frame", FRAMES)
def test_every_cut_of_a_frame_is_refused_by_name(frame: ConsensusFrame) -> None:
    encoded = encode_frame(frame)
    for end in range(len(encoded)):
        with pytest.raises(PeerError):
            decode_frame(encoded[:end])


@pytest.mark.parametrize("frame", FRAMES)
def test_every_changed_byte_gives_another_frame_or_a_refusal(frame: ConsensusFrame) -> None:
    encoded = encode_frame(frame)
    for position in range(len(encoded)):
        changed = bytearray(encoded)
        changed[position] ^= 0x21
        try:
            assert decode_frame(bytes(changed)) != frame
        except PeerError:
            continue


def test_kinds_and_domains_of_statements_are_all_different() -> None:
    statements = get_args(Statement)

    assert len({statement.KIND for statement in statements}) == len(statements)
    assert len({statement.DOMAIN for statement in statements}) == len(statements)
    assert all(statement.DOMAIN.startswith("potp2p/consensus/") for statement in statements)


def test_commit_is_signed_as_the_seal_keeps_it() -> None:
    statement = commit(1, APPLE, view=2).statement
    kept = CommitStatement(
        statement.epoch,
        statement.height,
        statement.view,
        statement.signer,
        statement.block_hash,
    )

    assert encode(statement) == encode(kept)
    assert statement.DOMAIN == COMMIT_DOMAIN


def test_all_statements_begin_with_the_same_four_fields() -> None:
    for statement in get_args(Statement):
        assert list(statement.__slots__)[:4] == ["epoch", "height", "view", "signer"]


def test_every_signature_of_a_proof_is_listed_for_checking() -> None:
    proposal = propose(1, APPLE, view=1, view_changes=SHOWN, certificate=PROOF)

    statements = [statement for statement, _ in signed_parts(proposal)]

    assert statements == [
        proposal.statement,
        *(each.statement for each in SHOWN),
        *(prepare(signer, APPLE).statement for signer in QUORUM),
    ]


def test_largest_proposal_and_block_fit_into_a_frame() -> None:
    signers = tuple(range(VALIDATORS_MAX))
    proof = certificate(APPLE, signers, view=2**31, height=2**47)
    shown = tuple(
        view_change(signer, 2**32 - 1, certificate=proof, height=2**47) for signer in signers
    )
    largest = propose(
        99, APPLE, view=2**32 - 1, height=2**47, view_changes=shown, certificate=proof
    )

    assert quorum_of(VALIDATORS_MAX) == 67
    assert len(encode_frame(largest)) < 48 * 1024
    assert len(encode_frame(view_change(99, 2**32 - 1, certificate=proof))) < 16 * 1024
    full = BlockPush(Height(2**47), bytes(BLOCK_BYTES_MAX + BLOCK_OVERHEAD_BYTES_MAX))
    assert len(encode_frame(full)) <= MESSAGE_BYTES_MAX
    assert decode_frame(encode_frame(full)) == full


def test_block_over_the_limit_is_refused() -> None:
    over = BlockPush(Height(1), bytes(BLOCK_BYTES_MAX + BLOCK_OVERHEAD_BYTES_MAX + 1))

    with pytest.raises(PeerError) as caught:
        decode_frame(encode_frame(over))
    assert caught.value.reason is RejectionReason.OUT_OF_BOUNDS


def test_certificate_of_too_many_is_refused_before_it_is_built() -> None:
    too_many = certificate(APPLE, (*range(VALIDATORS_MAX), 0))

    with pytest.raises(PeerError):
        decode_frame(encode_frame(view_change(1, 1, certificate=too_many)))


def test_bytes_of_every_message_are_frozen() -> None:
    """A change here is a new protocol version; regenerate only to approve one."""
    digest = sha256(b"".join(encode_frame(frame) for frame in FRAMES)).hexdigest()

    assert digest == "86d6e77c846b3353dfc55a40e588ddb341005eb69c22391a05753c6310d1c8fa"
