"""One seed from start to verdict: faults, then calm, then proof that the network goes on."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Final

import trio

from potp2p.foundation.types import ChainId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.wire.exchange import Role
from potp2p.simulation.genesis import first_state, key_of, make_genesis, short_lived
from potp2p.simulation.liars import BadAuthor, Liar
from potp2p.simulation.machine import Machine
from potp2p.simulation.nemesis import Nemesis
from potp2p.simulation.network import MemoryHub
from potp2p.simulation.oracle import Oracle
from potp2p.simulation.payments import Payer
from potp2p.simulation.plans import (
    NEWCOMER,
    Choices,
    Idleness,
    Plan,
    double_of,
    draw_plan,
    miner_names,
    validator_names,
)
from potp2p.simulation.reports import SeedReport
from potp2p.simulation.scheduling import run_seeded
from potp2p.simulation.traces import Trace
from potp2p.simulation.transits import Fate, Transit
from potp2p.simulation.weather import Weather
from potp2p.simulation.world import World

CONVERGE_SECONDS_MAX: Final = 60.0
"""From the end of all faults until every honest machine stores new blocks; above any view timer."""
HEIGHT_SECONDS_MAX: Final = 3.0
"""Afterwards, for each height that is left: one lost view in each of them."""
HEIGHTS_AFTER: Final = 2
"""New blocks that every honest machine must store after the calm to have converged."""
LOOK_SECONDS: Final = 0.05
WEIGH_SECONDS: Final = 4.0
"""Between two walks over all that nodes keep, which cost more than what they watch."""


def run_seed(seed: int, choices: Choices, write: Callable[[str], None] | None = None) -> SeedReport:
    """Run one seed, which always goes the same way; `write` takes its trace, line by line."""
    return run_plan(draw_plan(seed, choices), write)


def run_plan(plan: Plan, write: Callable[[str], None] | None = None) -> SeedReport:
    """Run one plan."""
    with tempfile.TemporaryDirectory(prefix="potp2p-simulate-") as folder:
        scene = Scene(plan, Path(folder), Trace(write))
        return run_seeded(scene.play, plan.seed)


@dataclass(slots=True)
class Scene:
    """One run while it runs."""

    plan: Plan
    folder: Path
    trace: Trace
    _weighed_at: float = 0.0
    _calm_height: int = 0

    async def play(self) -> SeedReport:
        """Run from start to verdict."""
        hub = MemoryHub(keeps_transits=False, conducts={})
        try:
            async with trio.open_nursery() as nursery:
                return await self._play(hub, nursery)
        finally:
            hub.heal()

    async def _play(self, hub: MemoryHub, nursery: trio.Nursery) -> SeedReport:
        world = self._world(hub, nursery)
        random = Random(f"potp2p/faults/{self.plan.seed}")
        weather = Weather(self.plan, random)
        oracle = self._oracle(world)
        self._describe()
        self._bring_liars(world, weather)

        def watch(fate: Fate, transit: Transit) -> None:
            self.trace.message(fate, transit)
            oracle.note_message(fate, transit)

        hub.watch = watch
        weather.rule(hub)
        nemesis = Nemesis(world, self.plan, weather, oracle, self.trace, random)
        nursery.start_soon(hub.run)
        nursery.start_soon(nemesis.run)
        for machine in world.machines.values():
            nursery.start_soon(nemesis.live, machine)
        plan = self.plan
        payer = Payer(
            world, key_of("client"), plan.seed, plan.orders, plan.payments_at_once, plan.leaver
        )
        nursery.start_soon(payer.run)
        nursery.start_soon(payer.retire)
        converged = await self._watch(world, oracle)
        nursery.cancel_scope.cancel()
        return self._report(world, oracle, converged)

    def _world(self, hub: MemoryHub, nursery: trio.Nursery) -> World:
        choices = self.plan.choices
        genesis = short_lived(make_genesis(choices.validators))
        authors = [key_of(name).node_id for name in miner_names(choices)]
        world = World(self.folder, genesis, hub, nursery)
        world.first = first_state(world.genesis_bytes, authors)
        for index, name in enumerate(validator_names(choices)):
            drift = self.plan.drifts[index]
            world.place(name, Role.VALIDATOR, tamper=_with_timers(drift))
        for name in miner_names(choices):
            world.place(name, Role.MINER)
        if self.plan.leaver is not None:
            world.place(NEWCOMER, Role.VALIDATOR)
        if self.plan.follower:
            world.place("observer-0", Role.OBSERVER)
        for machine, skew in zip(world.machines.values(), self.plan.skews, strict=False):
            machine.skew_seconds = skew / 1000
        for name in self.plan.twins:
            world.place(double_of(name), Role.VALIDATOR, identity=name)
        self.trace.names.update({each.node_id: name for name, each in world.machines.items()})
        return world

    def _oracle(self, world: World) -> Oracle:
        doubles = frozenset(double_of(name) for name in self.plan.twins)
        oracle = Oracle(
            ChainId(sha256(world.genesis_bytes)),
            tuple(key_of(name).node_id for name in validator_names(self.plan.choices)),
            self.plan.suspects | doubles,
            frozenset(key_of(name).node_id for name in miner_names(self.plan.choices)),
            frozenset(key_of(name).node_id for name, _ in self.plan.idlers),
            self.trace,
        )
        for machine in world.machines.values():
            oracle.enrol(machine)
        return oracle

    def _describe(self) -> None:
        plan = self.plan
        self.trace.note("plan", f"seed {plan.seed}", f"calm at {plan.calm_at} ms", *plan.faults)
        for name, lie in plan.liars:
            self.trace.note("liar", name, lie)
        for name, idleness in plan.idlers:
            self.trace.note("author", name, idleness)
        for name in plan.twins:
            self.trace.note("twins", name, double_of(name))

    def _bring_liars(self, world: World, weather: Weather) -> None:
        hub, chain_id = world.hub, ChainId(sha256(world.genesis_bytes))
        seats = [key_of(name).node_id for name in validator_names(self.plan.choices)]
        for name, lie in self.plan.liars:
            keys = key_of(name)
            others = tuple(seat for seat in seats if seat != keys.node_id)
            liar = Liar(keys, chain_id, lie, others)
            hub.tampers[keys.node_id] = liar.send
            hub.forgers[keys.node_id] = liar.answer
            weather.deaf[keys.node_id] = liar.is_deaf
        for name, idleness in self.plan.idlers:
            keys = key_of(name)
            hub.tampers[keys.node_id] = BadAuthor(keys, chain_id, idleness).send
            if idleness is Idleness.LATE:
                weather.late_authors.add(keys.node_id)

    async def _watch(self, world: World, oracle: Oracle) -> float | None:
        """
        Look on until the network has shown that it goes on, or has had time enough to.

        A broken rule ends the run: what comes after it proves nothing.
        """
        honest = [each for name, each in world.machines.items() if name not in oracle.suspects]
        calm = self.plan.calm_at / 1000
        await self._until(lambda: trio.current_time() >= calm, calm, oracle, honest)
        self._calm_height = max(oracle.decided, default=0)
        self.trace.note("calm", f"highest block {self._calm_height}")
        goal = self._calm_height + HEIGHTS_AFTER
        latest = calm + CONVERGE_SECONDS_MAX
        if not await self._until(lambda: _lowest(honest) >= goal, latest, oracle, honest):
            return None
        converged = trio.current_time() - calm
        self.trace.note("converged", f"{converged:.2f} s")
        heights = self.plan.choices.heights
        latest += CONVERGE_SECONDS_MAX + max(0, heights - goal) * HEIGHT_SECONDS_MAX
        if not await self._until(lambda: _lowest(honest) >= heights, latest, oracle, honest):
            self.trace.note("stalled", f"at {_lowest(honest)}")
            return None
        return converged

    async def _until(
        self, is_reached: Callable[[], bool], latest: float, oracle: Oracle, honest: list[Machine]
    ) -> bool:
        """Wait for something; False when time is over or a rule is broken."""
        while not is_reached():
            if oracle.violations or trio.current_time() > latest:
                return False
            await self._look(oracle, honest)
        return not oracle.violations

    async def _look(self, oracle: Oracle, honest: list[Machine]) -> None:
        oracle.note_penalties(honest[0].hub.penalties)
        if trio.current_time() >= self._weighed_at + WEIGH_SECONDS:
            self._weighed_at = trio.current_time()
            oracle.note_sizes([each for each in honest if each.is_running])
        await trio.sleep(LOOK_SECONDS)

    def _report(self, world: World, oracle: Oracle, converged: float | None) -> SeedReport:
        honest = [each for name, each in world.machines.items() if name not in oracle.suspects]
        return SeedReport(
            seed=self.plan.seed,
            faults=tuple(str(fault) for fault in self.plan.faults),
            height=_lowest(honest),
            calm_height=self._calm_height,
            converge_seconds=None if converged is None else round(converged, 6),
            violations=tuple(oracle.violations),
            messages=self.trace.messages,
            trace_hash=self.trace.digest(),
        )


def _lowest(machines: list[Machine]) -> int:
    return min(0 if each.store.stored is None else each.store.stored.height for each in machines)


def _with_timers(percent: int) -> Callable[[Machine], None]:
    """Return what makes a validator's timers run too fast or too slow."""

    def tamper(machine: Machine) -> None:
        consensus = machine.node.consensus
        if consensus is None or percent == 100:
            return
        timing = consensus.replica.timing
        consensus.replica.timing = replace(
            timing,
            view_timeout=timing.view_timeout * percent // 100,
            view_step=timing.view_step * percent // 100,
            view_cap=timing.view_cap * percent // 100,
        )

    return tamper
