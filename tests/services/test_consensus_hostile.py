"""Hostile frames on the consensus stream cost their bearer, and the service nothing."""

from dataclasses import replace
from random import Random

import pytest
import trio
from trio.testing import MockClock

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.limits import CONSENSUS_INBOX_MAX
from potp2p.foundation.types import Height, NodeId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.consensus.effects import Accuse
from potp2p.protocol.crypto.signing import sign
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.consensus import (
    BlockPush,
    BlockRequest,
    SealNotice,
    SignedMessage,
    SignedPrepare,
    Status,
    encode_frame,
)
from potp2p.protocol.wire.schema import encode
from potp2p.simulation.core.messages import commit, prepare, propose, seal, view_change
from tests.doubles.committee import APPLE, PEAR
from tests.doubles.network import MemoryHub
from tests.doubles.validators import (
    CHAIN,
    OTHER_CHAIN,
    Validator,
    key_of,
    make_block,
    make_validators,
    until,
)

LIAR = 0


def signed_by(seat: int, message: SignedMessage, *, chain: object = CHAIN) -> SignedMessage:
    """Put a true signature of a seat under a message."""
    statement = message.statement
    signature = sign(key_of(seat), statement.DOMAIN, chain, encode(statement))  # type: ignore[arg-type]
    return replace(message, signature=signature)


class Attack:
    """Four validators, one of them played by the test."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.hub = MemoryHub()
        self.validators: list[Validator] = make_validators(4, self.hub)
        self.liar = self.hub.attach(key_of(LIAR).node_id)
        self.victim = self.validators[3]
        for validator in self.validators[1:]:
            nursery.start_soon(validator.run)

    def send(self, *bodies: bytes) -> None:
        """Post frames to the victim."""
        for body in bodies:
            self.liar.post(self.victim.key.node_id, StreamProtocol.CONSENSUS, body)

    async def outcome(self) -> list[RejectionReason]:
        """Let the victim work, see that the chain goes on, and return what the liar paid for."""
        goal = len(self.victim.chain.blocks) + 2
        await until(lambda: len(self.victim.chain.blocks) >= goal, seconds=30)
        assert all(penalty.offender == key_of(LIAR).node_id for penalty in self.hub.penalties)
        return [penalty.error.reason for penalty in self.hub.penalties]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff" * 100,
        b"\x80",
        b"\x81\x80",
        b"\x81\x81\x18\x63",
        encode_frame(prepare(LIAR, APPLE))[:-1],
        encode_frame(prepare(LIAR, APPLE)) + b"\0",
        encode_frame(BlockPush(Height(1), b"\x80")),
    ],
)
async def test_garbage_is_scored_and_survived(
    body: bytes, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    attack = Attack(nursery)
    await trio.sleep(0.1)
    attack.send(body)

    assert await attack.outcome() == [RejectionReason.MALFORMED]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (prepare(LIAR, APPLE), RejectionReason.BAD_SIGNATURE),
        (prepare(2, APPLE), RejectionReason.BAD_SIGNATURE),
        (signed_by(LIAR, prepare(2, APPLE)), RejectionReason.BAD_SIGNATURE),
        (signed_by(LIAR, prepare(LIAR, APPLE), chain=OTHER_CHAIN), RejectionReason.BAD_SIGNATURE),
        (signed_by(LIAR, prepare(77, APPLE)), RejectionReason.WRONG_SENDER),
        (signed_by(LIAR, propose(LIAR, APPLE)), RejectionReason.NOT_PRIMARY),
        (signed_by(LIAR, propose(2, APPLE, view=1)), RejectionReason.BAD_JUSTIFICATION),
        (signed_by(LIAR, view_change(LIAR, 0)), RejectionReason.BAD_JUSTIFICATION),
        (SealNotice(seal(APPLE, (0, 1, 2))), RejectionReason.BAD_SIGNATURE),
        (SealNotice(seal(APPLE, (0, 1))), RejectionReason.BAD_JUSTIFICATION),
        (SealNotice(seal(APPLE, (0, 0, 0))), RejectionReason.BAD_JUSTIFICATION),
    ],
)
async def test_forged_words_are_scored_and_never_counted(
    frame: object, reason: RejectionReason, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    attack = Attack(nursery)
    await trio.sleep(0.1)
    attack.send(encode_frame(frame))  # type: ignore[arg-type]

    assert await attack.outcome() == [reason]
    nursery.cancel_scope.cancel()


async def test_prepare_cannot_be_replayed_as_a_commit(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    attack = Attack(nursery)
    await trio.sleep(0.1)
    vote = signed_by(LIAR, prepare(LIAR, APPLE))
    attack.send(encode_frame(replace(commit(LIAR, APPLE), signature=vote.signature)))

    assert await attack.outcome() == [RejectionReason.BAD_SIGNATURE]
    nursery.cancel_scope.cancel()


async def test_stranger_is_not_heard(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    attack = Attack(nursery)
    stranger = attack.hub.attach(key_of(99).node_id)
    await trio.sleep(0.1)
    for body in (b"\xff", encode_frame(signed_by(LIAR, prepare(LIAR, APPLE)))):
        stranger.post(attack.victim.key.node_id, StreamProtocol.CONSENSUS, body)

    assert await attack.outcome() == []
    nursery.cancel_scope.cancel()


async def test_double_vote_is_accused_once_with_both_bodies(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    attack = Attack(nursery)
    await trio.sleep(0.1)
    first, second = (signed_by(LIAR, prepare(LIAR, block_hash)) for block_hash in (APPLE, PEAR))
    for _ in range(5):
        attack.send(encode_frame(first), encode_frame(second))

    assert await attack.outcome() == []
    assert attack.victim.accusations == [Accuse(first, second)]
    nursery.cancel_scope.cancel()


async def test_poisoned_header_does_not_spoil_the_true_block(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    attack = Attack(nursery)
    attack.validators[1].chain.transactions = (b"true",)
    await trio.sleep(0.1)
    facts = attack.victim.chain.next_height()
    true = make_block(facts, 1, 0, transactions=(b"true",))
    attack.send(encode_frame(BlockPush(Height(1), encode(replace(true, transactions=(b"false",))))))

    assert await attack.outcome() == [RejectionReason.BAD_BLOCK]
    block, decided = attack.victim.chain.blocks[0]
    assert (block, decided.view) == (true, 0)
    nursery.cancel_scope.cancel()


async def test_flood_of_signed_views_fills_neither_journal_nor_memory(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    attack = Attack(nursery)
    for validator in attack.validators[1:]:
        validator.chain.never_chooses = True
    await trio.sleep(0.1)
    for view in range(1, 400):
        attack.send(encode_frame(signed_by(LIAR, prepare(LIAR, APPLE, view=view))))
    await trio.sleep(0.1)

    journal = attack.victim.journal
    assert len(journal.synced) + len(journal.unsynced) < 100
    nursery.cancel_scope.cancel()


async def test_flood_of_random_frames_leaves_the_chain_running(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    attack = Attack(nursery)
    random = Random(5)
    good = [
        encode_frame(signed_by(LIAR, prepare(LIAR, APPLE))),
        encode_frame(Status(Height(1), prepare(0, APPLE).statement.view, False, b"", b"", b"")),
        encode_frame(BlockRequest(Height(1), APPLE)),
        encode_frame(SealNotice(seal(APPLE, (0, 1, 2)))),
    ]
    await trio.sleep(0.1)
    for _ in range(CONSENSUS_INBOX_MAX):
        body = bytearray(random.choice(good))
        body[random.randrange(len(body))] ^= 1 << random.randrange(8)
        attack.send(bytes(body))

    assert len(await attack.outcome()) > 100
    nursery.cancel_scope.cancel()


async def test_claims_of_a_higher_chain_are_passed_to_catch_up_and_not_believed(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    attack = Attack(nursery)
    await trio.sleep(0.1)
    high: Seal = seal(APPLE, (0, 1, 2), height=500)
    attack.send(
        encode_frame(SealNotice(high)),
        encode_frame(Status(Height(300), prepare(0, APPLE).statement.view, False, b"", b"", b"")),
    )

    assert await attack.outcome() == []
    liar: NodeId = key_of(LIAR).node_id
    assert attack.victim.higher == [(liar, 500), (liar, 299)]
    nursery.cancel_scope.cancel()


async def test_signed_vote_of_a_seat_may_be_brought_by_another(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    attack = Attack(nursery)
    await trio.sleep(0.1)
    vote = signed_by(2, prepare(2, PEAR, view=5))
    assert isinstance(vote, SignedPrepare)
    attack.send(encode_frame(vote))
    await trio.sleep(0.01)

    at = attack.victim.service.replica.at
    assert at is not None
    assert at.prepares.find(vote.statement.view, vote.statement.signer) == vote
    nursery.cancel_scope.cancel()
