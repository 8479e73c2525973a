"""The edge of the consensus service: signatures, early frames, budgets, blocks."""

from dataclasses import replace

import pytest

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import (
    EARLY_BYTES_MAX,
    EARLY_FRAMES_MAX,
    EARLY_HEIGHTS_MAX,
    NEWS_AT_ONCE_MAX,
    UNASKED_BLOCKS_MAX,
)
from potp2p.foundation.types import Height, NodeId, ValidatorIndex, View
from potp2p.network.ports import Heard
from potp2p.protocol.crypto.signing import sign
from potp2p.protocol.wire.blocks import CommitSignature
from potp2p.protocol.wire.consensus import (
    BlockPush,
    SignedPrepare,
    SignedViewChange,
    Statement,
)
from potp2p.protocol.wire.schema import encode
from potp2p.services.consensus_blocks import BlockShelf
from potp2p.services.consensus_edge import AnswerGate, EarlyFrames, MessageVerifier, NewsBudget
from potp2p.simulation.core.messages import certificate, prepare, propose, view_change
from tests.doubles.committee import APPLE
from tests.doubles.validators import CHAIN, OTHER_CHAIN, MemoryChain, key_of, make_block

NODES = tuple(key_of(index).node_id for index in range(4))
FACTS = MemoryChain(NODES, NODES[0]).next_height()
PEER = NODES[1]


def really(statement: Statement, *, signer: int | None = None, chain: object = CHAIN) -> object:
    """Sign a statement with a seat's key."""
    key = key_of(statement.signer if signer is None else signer)
    return sign(key, statement.DOMAIN, chain, encode(statement))  # type: ignore[arg-type]


def real_prepare(seat: int, **how: object) -> SignedPrepare:
    """Return a truly signed prepare."""
    statement = prepare(seat, APPLE).statement
    return SignedPrepare(statement, really(statement, **how))  # type: ignore[arg-type]


def test_truly_signed_message_passes_and_passes_again_from_memory() -> None:
    verifier = MessageVerifier(CHAIN)

    for _ in range(2):
        verifier.verify(FACTS, real_prepare(2))


@pytest.mark.parametrize("how", [{"signer": 3}, {"chain": OTHER_CHAIN}])
def test_signature_of_another_key_or_chain_is_refused(how: dict[str, object]) -> None:
    with pytest.raises(PeerError) as caught:
        MessageVerifier(CHAIN).verify(FACTS, real_prepare(2, **how))

    assert caught.value.reason is RejectionReason.BAD_SIGNATURE


def test_remembered_signature_covers_no_other_statement() -> None:
    verifier = MessageVerifier(CHAIN)
    good = real_prepare(2)
    verifier.verify(FACTS, good)

    with pytest.raises(PeerError):
        verifier.verify(FACTS, replace(good, statement=replace(good.statement, view=View(1))))


def test_every_signature_inside_a_proof_is_checked() -> None:
    votes = tuple(
        CommitSignature(ValidatorIndex(signer), real_prepare(signer).signature)
        for signer in (0, 1, 2)
    )
    proof = replace(certificate(APPLE, (0, 1, 2)), signatures=votes)
    forged = replace(
        proof, signatures=(*votes[:2], CommitSignature(ValidatorIndex(2), votes[0].signature))
    )
    plain = [view_change(signer, 1) for signer in (0, 1)]
    claiming = view_change(2, 1, certificate=proof)
    shown = tuple(
        SignedViewChange(each.statement, really(each.statement))  # type: ignore[arg-type]
        for each in (*plain, claiming)
    )
    primary = FACTS.primary(View(1))
    good = replace(propose(primary, APPLE, view=1), view_changes=shown, certificate=proof)
    good = replace(good, signature=really(good.statement))
    verifier = MessageVerifier(CHAIN)

    verifier.verify(FACTS, good)
    for bad in (
        replace(good, certificate=forged),
        replace(good, view_changes=(*shown[:2], replace(shown[2], signature=shown[0].signature))),
        replace(good, signature=shown[0].signature),
    ):
        with pytest.raises(PeerError):
            verifier.verify(FACTS, bad)


def test_early_frames_come_out_at_their_height_once() -> None:
    early = EarlyFrames()
    for height in (3, 4, 3):
        early.keep(Height(2), Height(height), Heard(PEER, bytes([height])))

    assert early.take(Height(3)) == [Heard(PEER, b"\3"), Heard(PEER, b"\3")]
    assert early.take(Height(3)) == []
    assert early.take(Height(4)) == [Heard(PEER, b"\4")]
    assert early.by_peer == {}


def test_early_frames_of_one_peer_are_bounded_in_number_height_and_bytes() -> None:
    early = EarlyFrames()
    for _ in range(EARLY_FRAMES_MAX + 10):
        early.keep(Height(1), Height(2), Heard(PEER, b"x"))
    early.keep(Height(1), Height(1), Heard(NODES[2], b"x"))
    early.keep(Height(1), Height(2 + EARLY_HEIGHTS_MAX), Heard(NODES[2], b"x"))
    early.keep(Height(1), Height(2), Heard(NODES[3], bytes(EARLY_BYTES_MAX)))
    early.keep(Height(1), Height(2), Heard(NODES[3], b"x"))

    assert {peer: len(frames) for peer, frames in early.by_peer.items()} == {
        PEER: EARLY_FRAMES_MAX,
        NODES[3]: 1,
    }


def test_early_frames_of_heights_skipped_by_catch_up_are_forgotten() -> None:
    early = EarlyFrames()
    early.keep(Height(1), Height(2), Heard(PEER, b"x"))

    assert early.take(Height(5)) == []
    assert early.by_peer == {}


def test_budget_of_one_signer_ends_and_grows_with_our_own_view_only() -> None:
    budget = NewsBudget()
    flood = sum(budget.admits(ValidatorIndex(1), View(0)) for _ in range(1_000))

    assert flood == NEWS_AT_ONCE_MAX
    assert budget.admits(ValidatorIndex(2), View(0))
    budget.forget()
    assert budget.admits(ValidatorIndex(1), View(0))


def test_peer_is_answered_at_most_once_in_an_interval() -> None:
    gate = AnswerGate(0.5)

    assert [gate.admits(PEER, "status", now) for now in (0.0, 0.4, 0.5, 0.6)] == [
        True,
        False,
        True,
        False,
    ]
    assert gate.admits(NODES[2], "status", 0.6)


def pushed(height: int = 1, **how: object) -> BlockPush:
    """Return a push of a block on the head."""
    block = make_block(FACTS, 1, 0, **how)  # type: ignore[arg-type]
    return BlockPush(Height(height), encode(block))


def test_unasked_blocks_of_one_peer_are_bounded() -> None:
    shelf = BlockShelf()
    taken = [
        shelf.receive(PEER, pushed(transactions=(bytes([number]),)), Height(1))
        for number in range(5)
    ]

    assert [kept is not None for kept in taken] == [True] * UNASKED_BLOCKS_MAX + [False] * 3
    assert shelf.receive(NODES[2], pushed(transactions=(b"z",)), Height(1)) is not None


def test_wanted_block_is_taken_beyond_the_share() -> None:
    shelf = BlockShelf()
    for number in range(3):
        shelf.receive(PEER, pushed(transactions=(bytes([number]),)), Height(1))
    other = BlockShelf()
    wanted = other.receive(PEER, pushed(transactions=(b"wanted",)), Height(1))
    assert wanted is not None

    shelf.wanted.add(wanted.block_hash)

    assert shelf.receive(PEER, pushed(transactions=(b"wanted",)), Height(1)) is not None
    assert shelf.receive(PEER, pushed(transactions=(b"wanted",)), Height(1)) is None


@pytest.mark.parametrize("height", [0, 3, 99])
def test_blocks_of_other_heights_are_not_even_decoded(height: int) -> None:
    assert BlockShelf().receive(PEER, BlockPush(Height(height), b"garbage"), Height(1)) is None


def test_header_with_the_transactions_of_another_block_is_refused() -> None:
    block = make_block(FACTS, 1, 0, transactions=(b"true",))
    poisoned = replace(block, transactions=(b"false",))

    with pytest.raises(PeerError) as caught:
        BlockShelf().receive(PEER, BlockPush(Height(1), encode(poisoned)), Height(1))

    assert caught.value.reason is RejectionReason.BAD_BLOCK


def test_block_that_lies_about_its_height_is_refused() -> None:
    with pytest.raises(PeerError):
        BlockShelf().receive(PEER, pushed(height=2), Height(1))


def test_turn_keeps_the_last_final_block_only() -> None:
    shelf = BlockShelf()
    first = shelf.receive(PEER, pushed(transactions=(b"1",)), Height(1))
    second = shelf.receive(PEER, pushed(transactions=(b"2",)), Height(1))
    assert first is not None
    assert second is not None

    shelf.turn(Height(2), second.block_hash)

    assert list(shelf.held) == [second.block_hash]
    shelf.turn(Height(3), NodeId(b"x" * 32))  # type: ignore[arg-type]
    assert shelf.held == {}
