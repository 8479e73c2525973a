"""Every verdict of the oracle can be heard: true histories pass, and each planted lie is named."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest
from trio.testing import MockClock

from potp2p.foundation.errors import OperatingError, PeerError, RejectionReason
from potp2p.foundation.types import (
    Amount,
    Digest,
    Epoch,
    Height,
    NodeId,
    Rank,
    ValidatorIndex,
    View,
)
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.crypto.signing import sign
from potp2p.protocol.ledger.keys import account_key
from potp2p.protocol.ledger.records import Account
from potp2p.protocol.ledger.validity import block_hash
from potp2p.protocol.wire.blocks import (
    BODY_DOMAIN,
    COMMIT_DOMAIN,
    RANK_NONE,
    AuthoredBody,
    Block,
    CommitSignature,
    CommitStatement,
    Header,
    Seal,
)
from potp2p.protocol.wire.consensus import Prepare, SignedPrepare, encode_frame
from potp2p.protocol.wire.schema import decode, encode
from potp2p.simulation.accounts import root_of
from potp2p.simulation.footprints import THINGS_MAX
from potp2p.simulation.oracle import MESSAGES_MAX, Oracle
from potp2p.simulation.traces import Trace
from potp2p.simulation.transits import Fate, Penalty, Transit
from potp2p.storage.ports import StoredBlock
from tests.doubles.world import Machine, World, key_of, open_world

Change = Callable[[Block, Seal], tuple[Block, Seal]]


@dataclass
class Past:
    """A short true history of machines that stand still, and an oracle that has seen nothing."""

    world: World
    oracle: Oracle = field(init=False)

    def __post_init__(self) -> None:
        self.machines = list(self.world.machines.values())
        self.oracle = Oracle(
            self.machines[0].node.chain.chain_id,
            tuple(each.node_id for each in self.machines),
            frozenset(),
            frozenset(),
            frozenset(),
            Trace(),
        )

    def show(self, machine: Machine, change: Change = lambda block, seal: (block, seal)) -> None:
        """Let the oracle see a machine's blocks in one batch, the last one true or changed."""
        self.oracle.enrol(machine)
        head = machine.node.chain.head.height
        blocks: list[StoredBlock] = []
        for height in range(1, head + 1):
            found = machine.store.block(Height(height))
            assert found is not None
            block, seal = decode(Block, found[0]), decode(Seal, found[1])
            if height == head:
                block, seal = change(block, seal)
            blocks.append(StoredBlock(Height(height), encode(block), encode(seal)))
        # Nobody stored these one by one, so no state named the voters: here they never change.
        self.oracle._voters.update(dict.fromkeys(range(1, head + 1), self.oracle.seats))
        self.oracle.note_stored(machine, blocks)

    def resealed(self, block: Block, seal: Seal, *seats: int) -> Seal:
        """Return a seal of another block that these seats truly signed."""
        name = block_hash(block.header)
        said = [
            CommitStatement(seal.epoch, seal.height, seal.view, ValidatorIndex(seat), name)
            for seat in seats
        ]
        signatures = tuple(
            CommitSignature(
                each.signer,
                sign(
                    self.machines[each.signer].keys,
                    COMMIT_DOMAIN,
                    self.oracle.chain_id,
                    encode(each),
                ),
            )
            for each in said
        )
        return replace(seal, block_hash=name, signatures=signatures)

    def prepare(self, seat: int, *, view: int, name: bytes, signer: Machine | None = None) -> None:
        """Let the oracle see a machine send a prepare."""
        machine = self.machines[seat]
        prepare = Prepare(Epoch(0), Height(1), View(view), ValidatorIndex(seat), Digest(name * 32))
        keys = (signer or machine).keys
        signature = sign(keys, prepare.DOMAIN, self.oracle.chain_id, encode(prepare))
        body = encode_frame(SignedPrepare(prepare, signature))
        receiver = self.machines[seat - 1].node_id
        transit = Transit(machine.node_id, receiver, StreamProtocol.CONSENSUS, body)
        self.oracle.note_message(Fate.SENT, transit)

    def said(self) -> str:
        """Return all that the oracle complains of."""
        return " | ".join(self.oracle.violations)


@pytest.fixture
async def past(tmp_path: Path, autojump_clock: MockClock) -> AsyncIterator[Past]:
    async with open_world(tmp_path, miners=0) as world:
        await world.height(4)
        world.freeze()
        yield Past(world)


def another_time(block: Block) -> Block:
    """Return a block that differs from a true one in what nobody can check."""
    header = block.header
    body = replace(header.body, time_milliseconds=header.body.time_milliseconds + 1)
    return replace(block, header=replace(header, body=body))


async def test_true_history_gives_no_cause_to_complain(past: Past) -> None:
    for machine in past.machines:
        past.show(machine)
        past.oracle.note_boot(machine)
    past.prepare(0, view=0, name=b"a")
    past.prepare(0, view=0, name=b"a")
    past.prepare(0, view=1, name=b"b")
    past.oracle.note_sizes(past.machines)
    past.oracle.note_penalties(past.world.hub.penalties)
    assert past.said() == ""
    assert len(past.oracle.decided) >= 4


async def test_second_block_at_one_height_is_a_fork(past: Past) -> None:
    first, second = past.machines[0], past.machines[1]
    past.show(first)

    def fork(block: Block, seal: Seal) -> tuple[Block, Seal]:
        other = another_time(block)
        return other, past.resealed(other, seal, 0, 1, 2)

    past.show(second, fork)
    assert "fork: validator-1 and validator-0 stored two blocks" in past.said()


async def test_seal_of_too_few_is_named_however_often_they_sign(past: Past) -> None:
    past.show(past.machines[0], lambda block, seal: (block, past.resealed(block, seal, 0, 1)))
    assert "2 of 4 signed" in past.said()
    past.oracle.violations.clear()
    past.show(past.machines[1], lambda block, seal: (block, past.resealed(block, seal, 0, 1, 1)))
    assert "signers [0, 1, 1]" in past.said()


async def test_seal_with_a_forged_signature_or_of_another_block_is_named(past: Past) -> None:
    def forged(block: Block, seal: Seal) -> tuple[Block, Seal]:
        whole = past.resealed(block, seal, 0, 1, 2)
        stolen = replace(whole.signatures[2], signature=whole.signatures[1].signature)
        return block, replace(whole, signatures=(*whole.signatures[:2], stolen))

    past.show(past.machines[0], forged)
    assert "signature of seat 2" in past.said()
    past.oracle.violations.clear()
    past.show(past.machines[1], lambda block, seal: (another_time(block), seal))
    assert "it names another block" in past.said()


async def test_state_that_is_not_the_root_of_its_block_is_named(past: Past) -> None:
    machine = past.machines[0]
    machine.store.states[b"\x7f"] = b"smuggled in"
    past.show(machine)
    assert "validator-0 keeps another state than the root of block" in past.said()


async def test_money_from_nowhere_is_named_even_under_a_true_root(past: Past) -> None:
    machine = past.machines[0]
    key = account_key(key_of("client").account)
    account = decode(Account, machine.store.states[key])
    machine.store.states[key] = encode(replace(account, balance=Amount(account.balance + 1)))

    def rooted(block: Block, seal: Seal) -> tuple[Block, Seal]:
        body = replace(block.header.body, state_root=root_of(machine.store.states))
        other = replace(block, header=replace(block.header, body=body))
        return other, past.resealed(other, seal, 0, 1, 2)

    past.show(machine, rooted)
    assert any(each.startswith("money: ") for each in past.oracle.violations)


async def test_block_that_its_author_did_not_sign_or_may_not_write_is_named(past: Past) -> None:
    def unsigned(block: Block, seal: Seal) -> tuple[Block, Seal]:
        other = another_time(block)
        return other, past.resealed(other, seal, 0, 1, 2)

    past.show(past.machines[0], unsigned)
    assert "is not signed by its author" in past.said()

    def by_another(block: Block, seal: Seal, rank: Rank) -> tuple[Block, Seal]:
        frame = block.header.frame
        keys = past.machines[frame.primary - 1].keys
        body = replace(block.header.body, author=keys.node_id, rank=rank)
        signature = sign(keys, BODY_DOMAIN, past.oracle.chain_id, encode(body))
        other = replace(block, header=Header(body, signature, frame))
        return other, past.resealed(other, seal, 0, 1, 2)

    for machine, rank, text in (
        (past.machines[1], RANK_NONE, "without rank is not by its primary"),
        (past.machines[2], Rank(0), "has a ranked author that no draw knows"),
    ):
        past.oracle.violations.clear()
        past.oracle.decided.clear()
        past.show(machine, partial(by_another, rank=rank))
        assert text in past.said()
        assert "is not signed by its author" not in past.said()


async def test_two_votes_in_one_place_are_a_double_vote_across_restarts(past: Past) -> None:
    past.show(past.machines[2])
    past.prepare(2, view=0, name=b"a")
    past.oracle.note_boot(past.machines[2])
    past.prepare(2, view=0, name=b"b")
    assert "double vote: validator-2 signed two of Prepare at height 1, view 0" in past.said()


async def test_vote_under_a_signature_of_another_is_named(past: Past) -> None:
    past.show(past.machines[2])
    past.prepare(2, view=0, name=b"a", signer=past.machines[1])
    assert past.said() == "validator-2 sent a vote that it did not sign"


async def test_suspect_may_say_what_it_wants(past: Past) -> None:
    past.oracle = replace(past.oracle, suspects=frozenset({"validator-2"}), violations=[])
    past.show(past.machines[2])
    past.prepare(2, view=0, name=b"a")
    past.prepare(2, view=0, name=b"b")
    assert past.said() == ""


async def test_two_bodies_of_one_author_are_named(past: Past) -> None:
    machine = past.machines[0]
    past.show(machine)
    found = machine.store.block(Height(1))
    assert found is not None
    block = decode(Block, found[0])
    author = next(each for each in past.machines if each.node_id == block.header.body.author)
    past.oracle.enrol(author)
    for each in (block, another_time(block)):
        authored = AuthoredBody(
            each.header.body, each.header.author_signature, each.previous_seal, each.transactions
        )
        past.oracle.note_message(
            Fate.SENT,
            Transit(author.node_id, NodeId(b"x"), StreamProtocol.BODIES, encode(authored)),
        )
    assert past.said() == f"double body: {author.name} signed two at 1"


async def test_block_that_skips_a_height_is_named(past: Past) -> None:
    machine = past.machines[0]
    past.oracle.enrol(machine)
    found = machine.store.block(Height(2))
    assert found is not None
    past.oracle.note_stored(machine, [StoredBlock(Height(2), *found)])
    assert "validator-0 stored 2 after 0" in past.said()


async def test_machine_that_forgot_a_block_or_a_vote_is_named_at_its_start(past: Past) -> None:
    machine = past.machines[0]
    past.oracle.enrol(machine)
    past.oracle.note_boot(machine)
    head = machine.node.chain.head.height
    assert f"validator-0 starts at {head}, its disk kept 0" in past.said()
    past.oracle.violations.clear()
    past.show(machine)
    past.oracle.note_boot(machine)
    assert past.said() == ""
    machine.store.states[b"\x7f"] = b"smuggled in"
    past.oracle.note_boot(machine)
    assert past.said() == "validator-0 starts with another state than that of its head"


async def test_vote_above_what_the_disk_keeps_is_named_at_the_start(past: Past) -> None:
    machine = past.machines[0]
    past.prepare(0, view=0, name=b"a")
    past.show(machine)
    far = Height(machine.node.chain.head.height + 3)
    prepare = Prepare(Epoch(0), far, View(0), ValidatorIndex(0), Digest(bytes(32)))
    signature = sign(machine.keys, prepare.DOMAIN, past.oracle.chain_id, encode(prepare))
    past.oracle.note_message(
        Fate.SENT,
        Transit(
            machine.node_id,
            past.machines[1].node_id,
            StreamProtocol.CONSENSUS,
            encode_frame(SignedPrepare(prepare, signature)),
        ),
    )
    past.oracle.note_boot(machine)
    assert f"validator-0 voted at {far} and starts at {far - 3}" in past.said()


async def test_node_may_stop_for_its_disk_and_for_nothing_else(past: Past) -> None:
    machine = past.machines[0]
    machine.disk.failed_for = "no space left on device"
    past.oracle.note_stop(machine, [OperatingError("chain: no space left on device")])
    assert past.said() == ""
    past.oracle.note_stop(machine, [OperatingError("decided block 3 fails here")])
    past.oracle.note_stop(machine, [AssertionError("our bug")])
    assert past.oracle.violations == [
        "validator-0 stopped: OperatingError: decided block 3 fails here",
        "validator-0 stopped: AssertionError: our bug",
    ]


async def test_honest_node_that_is_blamed_by_an_honest_one_is_named(past: Past) -> None:
    judge, offender = past.machines[0], past.machines[1]
    for machine in (judge, offender):
        past.show(machine)
    late = Penalty(
        judge.node_id, offender.node_id, PeerError(RejectionReason.TOO_EARLY, "of the test")
    )
    grave = Penalty(
        judge.node_id, offender.node_id, PeerError(RejectionReason.BAD_BLOCK, "of the test")
    )
    past.oracle.note_penalties([late])
    assert past.said() == ""
    past.oracle.note_penalties([late, grave])
    past.oracle.note_penalties([late, grave])
    assert past.said() == "validator-0 blames honest validator-1: bad_block: of the test"


async def test_table_without_bound_is_named_by_its_path(past: Past) -> None:
    machine = past.machines[0]
    machine.node.sync.heights.claims.update(
        {NodeId(index.to_bytes(33, "big")): Height(1) for index in range(THINGS_MAX + 1)}
    )
    past.oracle.note_sizes(past.machines)
    assert past.said().startswith(f"validator-0 keeps {THINGS_MAX + 1} things in node.")
    assert "claims" in past.said()


async def test_node_that_says_too_much_too_fast_is_named(past: Past) -> None:
    for machine in past.machines[1:3]:
        past.show(machine)
    for _ in range(MESSAGES_MAX - 1):
        past.prepare(2, view=0, name=b"a")
    assert past.said() == ""
    past.prepare(2, view=0, name=b"a")
    assert past.said().startswith("validator-2 floods validator-1: 600 messages in 3 s")
