"""
A whole network with honest nodes and adversaries in it, from the order to the last payment.

What came of everybody is read from the first validator's receipts and state, so it is what the
chain says, not what an adversary believes.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import trio

from potp2p.foundation.types import POT, AccountId, Amount, Height, NodeId, TaskId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.records import Receipt, ReceiptKind, TaskStatus
from potp2p.protocol.wire.exchange import Role
from potp2p.protocol.wire.genesis import Genesis, GenesisAccount
from potp2p.protocol.wire.schema import decode
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.simulation.accounts import money_of
from potp2p.simulation.adversaries.cheat import Cheat, CheatingWorkers, League
from potp2p.simulation.adversaries.customer import Customer
from potp2p.simulation.adversaries.kinds import Kind, Place
from potp2p.simulation.adversaries.roster import cheat_of, parts_of
from potp2p.simulation.genesis import key_of, make_genesis
from potp2p.simulation.machine import Machine
from potp2p.simulation.network import MemoryHub
from potp2p.simulation.scheduling import run_seeded
from potp2p.simulation.transits import Transit
from potp2p.simulation.world import World
from potp2p.workers.ports import Workers

CLIENT_MONEY: Final = Amount(1_000_000 * POT)
LOOK_SECONDS: Final = 0.25
ROUND_SECONDS_MAX: Final = 120.0
"""Virtual time that a round and its audits may take, deadlines and escalations included."""
DELAY_SECONDS: Final = 0.004


@dataclass(frozen=True, slots=True)
class ArenaPlan:
    """Who takes part, and in what."""

    kinds: tuple[Kind, ...]
    """One adversary for each entry."""
    rules: TaskRules
    budget: Amount
    honest: int = 4
    """Miners that work."""
    validators: int = 4
    seed: int = 0
    audit_rate: int = 120_000
    """In ppm; a million audits every contribution."""
    change: Callable[[Genesis], Genesis] = lambda genesis: genesis


@dataclass(slots=True)
class Row:
    """What came of one node."""

    name: str
    kind: Kind | None
    place: Place
    node: NodeId
    money_before: int
    """Balance, bond and what unbonds, in base units."""
    money_after: int = 0
    accepted: int = 0
    """Contributions that were paid."""
    missed: int = 0
    void: int = 0
    rejected: int = 0
    audited: int = 0
    """Of those in the set, how many were replayed."""
    paid: int = 0
    banned_in_round: int | None = None
    """Rounds that were over when it was first convicted."""
    deeds: Counter[str] = field(default_factory=Counter[str])

    @property
    def gain(self) -> int:
        """Return what it owns more than at the start."""
        return self.money_after - self.money_before


@dataclass(slots=True)
class ArenaReport:
    """What came of everybody."""

    rows: list[Row]
    rounds: int
    status: TaskStatus
    losses: tuple[int, ...]
    blocks: int
    round_heights: list[int]
    """Height at which each round was first seen in work."""
    is_money_conserved: bool

    def of(self, kind: Kind | None) -> list[Row]:
        """Return the rows of a kind; None: the honest miners."""
        wanted = Place.MINER if kind is None else None
        return [each for each in self.rows if each.kind is kind and wanted in (None, each.place)]


@dataclass(slots=True)
class Arena:
    """One network while it runs."""

    plan: ArenaPlan
    folder: Path
    package: Path
    device: Callable[[], Workers]
    """Gives each node its honest device."""
    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    cheats: list[Cheat] = field(default_factory=list[Cheat])
    round_heights: list[int] = field(default_factory=list[int])

    def run(self) -> ArenaReport:
        """Play the whole of it."""
        return run_seeded(self.play, self.plan.seed)

    async def play(self) -> ArenaReport:
        """Start everybody, order training, wait for the last payment, read what came of it."""
        hub = MemoryHub(delay_seconds=_a_little_late, keeps_transits=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hub.run)
            world = World(self.folder, self._genesis(), hub, nursery)
            for name, role, cheat in self._cast():
                self._add(world, name, role, cheat)
            for cheat in self.cheats:
                nursery.start_soon(cheat.scheme)
            await world.height(1)
            customer = Customer(world, key_of("client"), self.folder / "client-blobs")
            task = await customer.submit(self.package, self.plan.rules, self.plan.budget)
            await self._watch(world, task)
            report = self._report(world, task)
            nursery.cancel_scope.cancel()
        return report

    def _cast(self) -> Iterator[tuple[str, Role, Cheat | None]]:
        """Yield every node; adversaries with a seat take the last ones."""
        miners: list[tuple[str, Cheat]] = []
        seats: list[Cheat] = []
        counts: Counter[Kind] = Counter()
        for kind in self.plan.kinds:
            counts[kind] += 1
            league = League(self.folder / "leagues" / f"{kind}-{counts[kind]}")
            for place in parts_of(kind):
                cheat = cheat_of(kind, place, league)
                if place is Place.SEAT:
                    seats.append(cheat)
                else:
                    miners.append((f"{kind}-{counts[kind]}", cheat))
        honest_seats = self.plan.validators - len(seats)
        for index in range(self.plan.validators):
            liar = None if index < honest_seats else seats[index - honest_seats]
            yield f"validator-{index}", Role.VALIDATOR, liar
        for index in range(self.plan.honest):
            yield f"miner-{index}", Role.MINER, None
        for name, cheat in miners:
            yield name, Role.MINER, cheat

    def _miner_names(self) -> list[str]:
        return [name for name, role, _ in self._cast() if role is Role.MINER]

    def _genesis(self) -> Genesis:
        """Return a network whose miners have their bonds from the start, and no sponsor."""
        genesis = make_genesis(self.plan.validators, audit_rate=self.plan.audit_rate)
        client = key_of("client").account
        bonds = {key_of(name).account: genesis.money.miner_bond for name in self._miner_names()}
        accounts = {
            each.account: each for each in genesis.accounts if each.account != genesis.sponsor
        }
        accounts[client] = GenesisAccount(client, CLIENT_MONEY, Amount(0))
        for account, bond in bonds.items():
            accounts[account] = GenesisAccount(account, Amount(0), bond)
        listed = tuple(accounts[each] for each in sorted(accounts))
        return self.plan.change(replace(genesis, accounts=listed, sponsor=None))

    def _add(self, world: World, name: str, role: Role, cheat: Cheat | None) -> None:
        device = self.device()
        if cheat is not None:
            self.cheats.append(cheat)
            device = CheatingWorkers(device, cheat)

        def tamper(machine: Machine) -> None:
            if cheat is not None:
                cheat.take_over(machine.node)

        machine = world.place(name, role, tamper=tamper)
        machine.device = device
        place = Place.SEAT if role is Role.VALIDATOR else Place.MINER
        self.rows[name] = Row(name, cheat.KIND if cheat else None, place, machine.node_id, 0)
        world.start(machine)
        self.rows[name].money_before = owned(machine, account_of(machine.node_id))
        if cheat is not None:
            self.rows[name].deeds = cheat.deeds

    async def _watch(self, world: World, task: TaskId) -> None:
        """Look on until the task is over and everything about it is paid."""
        chain = world.machines["validator-0"].node.chain
        latest = trio.current_time() + ROUND_SECONDS_MAX * self.plan.rules.rounds.rounds
        while trio.current_time() < latest:
            state = chain.state()
            record = state.task(task)
            if record.round >= len(self.round_heights) and record.open_rounds:
                self.round_heights.append(chain.head.height)
            for row in self.rows.values():
                miner = state.miner(account_of(row.node))
                if miner is not None and miner.rejected and row.banned_in_round is None:
                    row.banned_in_round = record.round
            waiting = (TaskStatus.ATTESTING, TaskStatus.RUNNING)
            if record.status not in waiting and not record.open_rounds:
                return
            await trio.sleep(LOOK_SECONDS)
        raise AssertionError(f"not over in time:\n{world.story()}")

    def _report(self, world: World, task: TaskId) -> ArenaReport:
        first = world.machines["validator-0"]
        by_node = {row.node: row for row in self.rows.values()}
        height = first.node.chain.head.height
        for receipt in receipts_of(first, height):
            _enter(by_node[receipt.miner], receipt)
        for row in self.rows.values():
            row.money_after = owned(first, account_of(row.node))
        record = first.node.chain.state().task(task)
        return ArenaReport(
            rows=list(self.rows.values()),
            rounds=record.round,
            status=record.status,
            losses=record.losses,
            blocks=height,
            round_heights=self.round_heights,
            is_money_conserved=money_of(first.store.states)
            == first.node.chain.state().chain().supply,
        )


def receipts_of(machine: Machine, height: int) -> Iterator[Receipt]:
    """Yield every receipt of a chain, oldest first."""
    for each in range(1, height + 1):
        for encoded in machine.store.receipts(Height(each)):
            yield decode(Receipt, encoded)


def owned(machine: Machine, account: AccountId) -> int:
    """Return all money of an account."""
    record = machine.node.chain.state().account(account)
    return record.balance + record.bond + sum(each.amount for each in record.unbonding)


def _enter(row: Row, receipt: Receipt) -> None:
    row.audited += receipt.audited
    row.paid += receipt.paid
    match receipt.kind:
        case ReceiptKind.PAID:
            row.accepted += 1
        case ReceiptKind.MISSED:
            row.missed += 1
        case ReceiptKind.VOID:
            row.void += 1
        case ReceiptKind.REJECTED:
            row.rejected += 1


def _a_little_late(_transit: Transit) -> float:
    return DELAY_SECONDS
