"""Proofs in a node: kept on disk, said until they stand, never said for nothing."""

from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from potp2p.foundation.types import Amount, Cycle, Digest, Epoch, Height, ValidatorIndex, View
from potp2p.protocol.consensus.effects import Accuse
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.crypto.signing import sign
from potp2p.protocol.ledger.block import Ledger
from potp2p.protocol.ledger.records import CycleWeights, Weight
from potp2p.protocol.ledger.state import State
from potp2p.protocol.wire.blocks import BODY_DOMAIN, NO_DIGEST, RANK_NONE, AuthoredBody, BlockBody
from potp2p.protocol.wire.consensus import Prepare, SignedPrepare
from potp2p.protocol.wire.schema import encode
from potp2p.protocol.wire.transactions import DuplicateBody, DuplicateVote, Free, SignedStatement
from potp2p.services.evidence import EVIDENCE, EvidenceService
from potp2p.services.heights import HeightBell
from potp2p.simulation.stores import MemoryNotebook
from tests.doubles.ledger_world import LedgerWorld, build_world

APPLE, PEAR = sha256(b"apple"), sha256(b"pear")


@dataclass
class _Head:
    height: Height


@dataclass
class _Chain:
    """What the service sees of a chain: state, rules and head of a world in one ledger."""

    world: LedgerWorld
    bell: HeightBell = field(default_factory=HeightBell)

    @property
    def ledger(self) -> Ledger:
        return self.world.ledger

    @property
    def head(self) -> _Head:
        return _Head(Height(self.world.height))

    def state(self) -> State:
        return self.world.state

    def block(self, *transactions: bytes) -> None:
        self.world.block(*transactions)
        self.bell.ring(Height(self.world.height))


class Bench:
    """One node's service over a world; a restart keeps only the notebook."""

    def __init__(self, seat: int = 0) -> None:
        self.world = build_world(miners=1)
        self.world.run(2)
        self.chain = _Chain(self.world)
        self.keys = self.world.validators[seat]
        self.notebook = MemoryNotebook()
        self.said: list[Free] = []
        self.told: list[str] = []
        self.restart()

    def restart(self) -> None:
        self.service = EvidenceService(
            self.keys.node_id,
            self.chain,  # type: ignore[arg-type]
            self.notebook,
            self.said.append,
            lambda _tag, line: self.told.append(line),
        )

    def accuse(self, *, seat: int = 1, view: int = 0, height: int = 2) -> DuplicateVote:
        liar = self.world.validators[seat]
        first, second = (self._vote(liar, seat, view, height, each) for each in (APPLE, PEAR))
        self.service.accuse_voter(Accuse(first, second))
        return DuplicateVote(
            _statement(first),
            _statement(second),
        )

    def _vote(
        self, keys: KeyPair, seat: int, view: int, height: int, name: Digest
    ) -> SignedPrepare:
        said = Prepare(Epoch(0), Height(height), View(view), ValidatorIndex(seat), name)
        body = encode(said)
        return SignedPrepare(said, sign(keys, Prepare.DOMAIN, self.world.chain_id, body))

    def kept(self) -> int:
        return len(self.notebook.names(EVIDENCE))


def _statement(vote: SignedPrepare) -> SignedStatement:
    return SignedStatement(vote.statement, vote.signature)


async def run_to_rest(bench: Bench, nursery: trio.Nursery) -> None:
    nursery.start_soon(bench.service.run)
    await wait_all_tasks_blocked()


async def test_proof_is_kept_before_it_is_said_and_said_again_at_every_height(
    autojump_clock: MockClock,
) -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await run_to_rest(bench, nursery)
        proof = bench.accuse()
        assert bench.said == [], "nothing leaves before it is on disk"
        await wait_all_tasks_blocked()
        assert bench.said == [proof]
        assert bench.kept() == 1
        assert len(bench.told) == 1
        bench.chain.block()
        await wait_all_tasks_blocked()
        assert bench.said == [proof, proof]
        nursery.cancel_scope.cancel()


async def test_proof_survives_a_restart_and_is_forgotten_once_it_stands(
    autojump_clock: MockClock,
) -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await run_to_rest(bench, nursery)
        proof = bench.accuse()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    bench.restart()
    bench.said.clear()
    bench.service.say = bench.said.append
    async with trio.open_nursery() as nursery:
        await run_to_rest(bench, nursery)
        assert bench.said == [proof]
        bench.chain.block(bench.world.free(bench.world.validators[2], proof))
        await wait_all_tasks_blocked()
        assert bench.said == [proof], "somebody else's copy stands"
        assert (len(bench.service), bench.kept()) == (0, 0)
        bench.accuse()
        await wait_all_tasks_blocked()
        assert bench.said == [proof], "an offence that is punished is no news"
        nursery.cancel_scope.cancel()


async def test_nobody_accuses_itself_nor_says_what_cannot_convict(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(seat=1)
    async with trio.open_nursery() as nursery:
        await run_to_rest(bench, nursery)
        bench.accuse(seat=1)
        bench.accuse(seat=2, height=9)
        await wait_all_tasks_blocked()
        assert (bench.said, len(bench.service), bench.kept()) == ([], 0, 0)
        nursery.cancel_scope.cancel()


async def test_what_a_node_holds_is_bounded(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("potp2p.services.evidence.EVIDENCE_HELD_MAX", 3)
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await run_to_rest(bench, nursery)
        for view in range(9):
            bench.accuse(view=view)
        await wait_all_tasks_blocked()
        assert (len(bench.service), bench.kept(), len(bench.said)) == (3, 3, 3)
        nursery.cancel_scope.cancel()


async def test_two_bodies_of_one_author_become_a_proof_that_the_law_takes(
    autojump_clock: MockClock,
) -> None:
    bench = Bench()
    rig = bench.world.miners[0]
    state = bench.world.state
    weights = CycleWeights((Weight(rig.node_id, Amount(1)),))
    state.put_frozen_weights(state.chain().cycle, weights)
    bench.world.rewrite(state)
    bodies = [_authored(bench, rig, seed) for seed in (b"a", b"b")]
    async with trio.open_nursery() as nursery:
        await run_to_rest(bench, nursery)
        bench.service.accuse_author(*bodies)
        await wait_all_tasks_blocked()
        (proof,) = bench.said
        assert isinstance(proof, DuplicateBody)
        bench.chain.block(bench.world.free(bench.keys, proof))
        assert bench.world.state.convict(rig.account) is not None
        nursery.cancel_scope.cancel()


def _authored(bench: Bench, author: KeyPair, seed: bytes) -> AuthoredBody:
    body = BlockBody(
        version=1,
        height=Height(2),
        previous_hash=APPLE,
        previous_seal_hash=NO_DIGEST,
        epoch=Epoch(0),
        cycle=Cycle(0),
        author=author.node_id,
        rank=RANK_NONE,
        transactions_root=sha256(seed),
        state_root=APPLE,
        next_validators_hash=NO_DIGEST,
        certificate_hash=NO_DIGEST,
        time_milliseconds=1,
    )
    signature = sign(author, BODY_DOMAIN, bench.world.chain_id, encode(body))
    return AuthoredBody(body, signature, None, ())
