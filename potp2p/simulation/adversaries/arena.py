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

from potp2p.foundation.types import POT, AccountId, Amount, Height, TaskId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.receipt_records import Receipt
from potp2p.protocol.ledger.records import Task, TaskStatus
from potp2p.protocol.wire.exchange import Role
from potp2p.protocol.wire.genesis import Genesis, GenesisAccount
from potp2p.protocol.wire.schema import decode
from potp2p.protocol.wire.tasks import TaskRules
from potp2p.simulation.accounts import money_of
from potp2p.simulation.adversaries.cheat import Cheat, CheatingWorkers, League
from potp2p.simulation.adversaries.clients import (
    WithholdingCustomer,
    decline_below,
)
from potp2p.simulation.adversaries.customer import Customer
from potp2p.simulation.adversaries.hiders import RivalAuthor
from potp2p.simulation.adversaries.kinds import Kind, Place
from potp2p.simulation.adversaries.outcomes import ArenaReport, Row, enter
from potp2p.simulation.adversaries.roster import cheat_of, parts_of
from potp2p.simulation.adversaries.tips import claims_of, tips_forgone
from potp2p.simulation.genesis import key_of, make_genesis
from potp2p.simulation.machine import Machine
from potp2p.simulation.network import MemoryHub
from potp2p.simulation.scheduling import run_seeded
from potp2p.simulation.transits import Transit
from potp2p.simulation.world import World
from potp2p.workers.ports import Workers

CLIENT_MONEY: Final = Amount(1_000_000 * POT)
PURSE: Final = Amount(10_000 * POT)
"""What a client that deals with itself has to play with."""
OWN_PRICE: Final = Amount(POT // 10)
"""Of a lease that it orders: so little, after the network's shares, that nobody else takes one."""
OWN_PRICE_MAX: Final = Amount(POT // 10)
"""The least that every other miner asks for a lease."""
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
    reformed: bool = False
    """Everybody is honest after all, under the same names: what the lies themselves bring."""
    change: Callable[[Genesis], Genesis] = lambda genesis: genesis


@dataclass(frozen=True, slots=True)
class Part:
    """One node of the cast."""

    name: str
    role: Role
    kind: Kind | None
    cheat: Cheat | None


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
    round_starts: list[float] = field(default_factory=list[float])

    def run(self) -> ArenaReport:
        """Play the whole of it."""
        return run_seeded(self.play, self.plan.seed)

    async def play(self) -> ArenaReport:
        """Start everybody, order training, wait for the last payment, read what came of it."""
        hub = MemoryHub(delay_seconds=_a_little_late, keeps_transits=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hub.run)
            world = World(self.folder, self._genesis(), hub, nursery)
            for part in self._cast():
                self._add(world, part)
            for cheat in self.cheats:
                nursery.start_soon(cheat.scheme)
            await world.height(1)
            tasks = await self._order(world)
            await self._watch(world, tasks)
            report = self._report(world, tasks[0])
            nursery.cancel_scope.cancel()
        return report

    async def _order(self, world: World) -> list[TaskId]:
        """Submit the task of this plan, and that of a client that deals with itself."""
        kinds = () if self.plan.reformed else self.plan.kinds
        withholds = Kind.DATA_WITHHOLDING_CLIENT in kinds
        make = WithholdingCustomer if withholds else Customer
        customer = make(world, key_of("client"), self.folder / "client-blobs")
        tasks = [await customer.submit(self.package, self.plan.rules, self.plan.budget)]
        for name, row in self.rows.items():
            if row.kind is Kind.SELF_DEALING_CLIENT and not self.plan.reformed:
                purse = Customer(world, key_of(purse_of(name)), self.folder / f"{name}-blobs")
                rounds = self.plan.rules.rounds
                budget = Amount(OWN_PRICE * rounds.rounds * rounds.shards_per_round)
                tasks.append(await purse.submit(self.package, self.plan.rules, budget))
        chain = world.machines["validator-0"].node.chain
        await world.until(
            lambda: chain.state().task(tasks[0]).status is not TaskStatus.ATTESTING,
            seconds=ROUND_SECONDS_MAX,
        )
        customer.vanish()
        return tasks

    def _cast(self) -> Iterator[Part]:
        """Yield every node; adversaries with a seat take the last ones."""
        miners: list[Part] = []
        seats: list[tuple[Kind, Cheat]] = []
        counts: Counter[Kind] = Counter()
        for kind in self.plan.kinds:
            counts[kind] += 1
            league = League(self.folder / "leagues" / f"{kind}-{counts[kind]}")
            for place in parts_of(kind):
                cheat = cheat_of(kind, place, league)
                if place is Place.SEAT:
                    seats.append((kind, cheat))
                else:
                    miners.append(Part(f"{kind}-{counts[kind]}", Role.MINER, kind, cheat))
        honest_seats = self.plan.validators - len(seats)
        for index in range(self.plan.validators):
            kept = index < honest_seats
            kind_of_seat, liar = (None, None) if kept else seats[index - honest_seats]
            yield Part(f"validator-{index}", Role.VALIDATOR, kind_of_seat, liar)
        for index in range(self.plan.honest):
            yield Part(f"miner-{index}", Role.MINER, None, None)
        yield from miners

    def _miner_names(self) -> list[str]:
        return [part.name for part in self._cast() if part.role is Role.MINER]

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
        for name in self._miner_names():
            if name.startswith(Kind.SELF_DEALING_CLIENT):
                purse = key_of(purse_of(name)).account
                accounts[purse] = GenesisAccount(purse, PURSE, Amount(0))
        listed = tuple(accounts[each] for each in sorted(accounts))
        return self.plan.change(replace(genesis, accounts=listed, sponsor=None))

    def _add(self, world: World, part: Part) -> None:
        cheat = None if self.plan.reformed else part.cheat
        device = self.device()
        if cheat is not None:
            self.cheats.append(cheat)
            device = CheatingWorkers(device, cheat)

        def tamper(machine: Machine) -> None:
            if cheat is not None:
                cheat.take_over(machine.node)
            if part.role is Role.MINER and part.kind is not Kind.SELF_DEALING_CLIENT:
                decline_below(machine.node, OWN_PRICE_MAX)

        machine = world.place(part.name, part.role, tamper=tamper)
        machine.device = device
        place = Place.SEAT if part.role is Role.VALIDATOR else Place.MINER
        row = self.rows[part.name] = Row(part.name, part.kind, place, machine.node_id, 0)
        world.start(machine)
        row.money_before = self._owned(machine, part.name)
        if cheat is not None:
            row.deeds, row.crimes = cheat.deeds, cheat.crimes

    def _owned(self, machine: Machine, name: str) -> int:
        """Return all money of a node, and of the accounts in league with it."""
        accounts = [key_of(name).account]
        if self.rows[name].kind is Kind.SELF_DEALING_CLIENT:
            accounts.append(key_of(purse_of(name)).account)
        return sum(owned(machine, each) for each in accounts)

    async def _watch(self, world: World, tasks: list[TaskId]) -> None:
        """Look on until the tasks are over and everything about them is paid."""
        chain = world.machines["validator-0"].node.chain
        latest = trio.current_time() + ROUND_SECONDS_MAX * self.plan.rules.rounds.rounds
        while trio.current_time() < latest:
            state = chain.state()
            record = state.task(tasks[0])
            if record.round >= len(self.round_starts) and record.open_rounds:
                self.round_starts.append(trio.current_time())
            for row in self.rows.values():
                miner = state.miner(account_of(row.node))
                if miner is not None and miner.rejected and row.banned_in_round is None:
                    row.banned_in_round = record.round
            if all(_is_over(state.task(each)) for each in tasks):
                return
            await trio.sleep(LOOK_SECONDS)
        raise AssertionError(f"not over in time:\n{world.story()}")

    def _report(self, world: World, task: TaskId) -> ArenaReport:
        first = world.machines["validator-0"]
        by_node = {row.node: row for row in self.rows.values()}
        height = first.node.chain.head.height
        for receipt in receipts_of(first, height):
            enter(by_node, receipt)
        for row in self.rows.values():
            row.money_after = self._owned(first, row.name)
        claims = claims_of(first, height)
        for cheat in self.cheats:
            if isinstance(cheat, RivalAuthor):
                assert cheat.node is not None
                row = by_node[cheat.node.authoring.keys.node_id]
                row.forgone = tips_forgone(row.node, cheat.hidden, claims)
        record = first.node.chain.state().task(task)
        return ArenaReport(
            rows=list(self.rows.values()),
            rounds=record.round,
            status=record.status,
            losses=record.losses,
            blocks=height,
            round_starts=self.round_starts,
            client_spent=CLIENT_MONEY - owned(first, key_of("client").account),
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


def purse_of(name: str) -> str:
    """Return whose account a self-dealing miner's orders are paid from."""
    return f"{name}-purse"


def _is_over(task: Task) -> bool:
    waiting = (TaskStatus.ATTESTING, TaskStatus.RUNNING)
    return task.status not in waiting and not task.open_rounds


def _a_little_late(_transit: Transit) -> float:
    return DELAY_SECONDS
