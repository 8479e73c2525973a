"""Random networks in which anyone may fail or lie: every contribution ends, nobody honest pays."""

from dataclasses import dataclass, field, replace
from random import Random

import pytest

from potp2p.foundation.types import POT, Amount, NodeId
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.audit_reach import audit_reach
from potp2p.protocol.ledger.audit_records import AuditPhase
from potp2p.protocol.ledger.conservation import check_supply
from potp2p.protocol.ledger.receipt_records import ReceiptKind
from potp2p.protocol.verification.commitments import LeaseKey
from potp2p.protocol.wire.transactions import (
    AuditCommit,
    Bond,
    Challenge,
    Free,
    RevealAudit,
    RevealTrace,
)
from potp2p.protocol.wire.verification import Distances
from tests.doubles.ledger_world import (
    FORGED,
    HONEST,
    NEAR,
    RULES,
    LedgerWorld,
    build_world,
    with_audits,
)

ROUNDS = replace(RULES, rounds=replace(RULES.rounds, rounds=3))
AUDIT_KINDS = (AuditCommit, RevealAudit)


@dataclass
class Chaos:
    """Who does wrong in one run, and how: drawn from a seed."""

    world: LedgerWorld
    random: Random
    cheats: set[NodeId] = field(default_factory=set)
    """Miners whose payloads are forged."""
    mutes: set[NodeId] = field(default_factory=set)
    """Miners that never open a trace."""
    liars: set[NodeId] = field(default_factory=set)
    """Auditors, and at most f judges, that report whatever they like."""
    idlers: set[NodeId] = field(default_factory=set)
    """Auditors and judges, f with the liars among them, that now and then do nothing."""
    hiders: set[NodeId] = field(default_factory=set)
    """Miners that now and then serve no payload."""

    def __post_init__(self) -> None:
        seats = [each.node_id for each in self.world.validators]
        rigs = [each.node_id for each in self.world.miners]
        self.random.choice((self.liars, self.idlers)).add(self.random.choice(seats))
        for rig in rigs:
            kind = self.random.randrange(6)
            if kind < 4:
                (self.cheats, self.mutes, self.liars, self.idlers)[kind].add(rig)
            if self.random.randrange(3) == 0:
                self.hiders.add(rig)
        self.world.measure = self.measure
        self.world.hidden = self.hidden
        self.world.silent = self.silent

    @property
    def honest(self) -> list[KeyPair]:
        bad = self.cheats | self.mutes | self.liars | self.hiders
        everyone = (*self.world.validators, *self.world.miners)
        return [each for each in everyone if each.node_id not in bad]

    def measure(self, auditor: NodeId, lease: LeaseKey) -> Distances:
        if auditor in self.liars:
            # A lie is made up once: what was committed to must open.
            return Random(auditor + lease.task + bytes([lease.round, lease.shard])).choice(
                (HONEST, NEAR, FORGED)
            )
        return FORGED if lease.miner in self.cheats else HONEST

    def hidden(self, miner: NodeId) -> bool:
        # All judges alike: what is not there is there for none of them.
        return (
            miner in self.hiders and Random(miner + bytes([self.world.height // 10])).random() < 0.5
        )

    def silent(self, node: NodeId, action: Free) -> bool:
        if isinstance(action, RevealTrace) and node in self.mutes:
            return True
        if isinstance(action, AUDIT_KINDS) and node in self.idlers:
            return self.random.random() < 0.7
        if isinstance(action, Challenge) and node in self.cheats:
            return self.random.random() < 0.5
        # Of everybody else a statement is late now and then.
        return isinstance(action, (*AUDIT_KINDS, RevealTrace)) and self.random.random() < 0.2

    def dispute(self) -> list[bytes]:
        """Return challenges that somebody bonded makes up."""
        state = self.world.state
        chain = state.chain()
        said: list[bytes] = []
        for task in (*chain.tasks, *chain.unsettled):
            for round_ in state.task(task).open_rounds:
                for row in state.round(task, round_).leases:
                    if self.random.random() > 0.01:
                        continue
                    claim = Challenge(
                        task, round_, row.shard, expects_fail=bool(self.random.randrange(2))
                    )
                    said.append(self.world.free(self.world.client, claim))
        return said


def bonded_client(world: LedgerWorld) -> None:
    client = world.client
    world.block(world.paid(client, Bond(client.account, Amount(100 * POT))))


@pytest.mark.parametrize("seed", range(6))
def test_every_contribution_ends_in_time_and_nobody_honest_is_slashed(seed: int) -> None:
    survive(seed)


@pytest.mark.long
@pytest.mark.parametrize("first", range(1_000, 1_400, 20))
def test_hundreds_of_random_networks_end_every_contribution_in_time(first: int) -> None:
    for seed in range(first, first + 20):
        survive(seed)


def survive(seed: int) -> None:
    """Run one network to the end of its task; AssertionError names what broke."""
    random = Random(seed)
    rate = random.choice((1_000_000, 300_000, 120_000))
    world = build_world(change=with_audits(rate, audit_committee=random.choice((1, 2, 3))))
    bonded_client(world)
    # Past the first two cycles miners are drawn as auditors too.
    world.run(random.choice((2, 21)))
    chaos = Chaos(world, random)
    task = world.submit(ROUNDS)
    reach = audit_reach(world.genesis, ROUNDS) + 1
    for _ in range(400):
        world.block(*world.duties(), *chaos.dispute(), strict=False)
        for round_ in world.task(task).open_rounds:
            record = world.state.round(task, round_)
            assert not record.result_height or world.height <= record.result_height + reach
            for shard in record.audits:
                assert world.state.audit(task, round_, shard).phase is not AuditPhase.FINAL
        if not world.task(task).escrow:
            break
    assert world.task(task).escrow == 0, "settled and refunded"
    assert len(world.receipts) == 18
    for keys in chaos.honest:
        is_seat = keys in world.validators
        assert world.account(keys).bond == (1_000 if is_seat else 20) * POT
        assert is_seat or world.miner(keys).banned_until == 0
    for each in (*world.validators, *world.miners, world.client):
        assert world.account(each).locked == 0
    for each in world.miners:
        assert world.miner(each).suspended == 0
    mine = {each.node_id for each in chaos.honest}
    kinds = {each.kind for each in world.receipts if each.miner in mine}
    assert ReceiptKind.REJECTED not in kinds
    fined = [fine for each in world.receipts for fine in each.fines]
    assert {each.miner for each in fined} <= chaos.hiders
    expected, found = check_supply(world.store.records.items())
    assert expected == found


def test_claims_of_the_honest_are_paid_whoever_lies_among_drawn_auditors() -> None:
    world = build_world(change=with_audits(1_000_000))
    world.run(21)
    liars = {each.node_id for each in (*world.miners[1:], world.validators[0])}
    world.measure = lambda auditor, lease: (
        FORGED if auditor in liars and lease.miner not in liars else HONEST
    )
    task = world.submit(ROUNDS)
    world.run_until(lambda: world.task(task).escrow == 0)
    mine = [each for each in world.receipts if each.miner == world.miners[0].node_id]
    assert mine
    assert {each.kind for each in mine} == {ReceiptKind.PAID}
    assert world.account(world.miners[0]).bond == 20 * POT
