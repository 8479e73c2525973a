"""Carries out a plan: cuts, clogs, crashes, disks that fail, and machines that come back."""

import traceback
from dataclasses import dataclass, field
from random import Random
from typing import Final, assert_never

import trio

from potp2p.simulation.disks import Kept
from potp2p.simulation.machine import Machine, leaves_of
from potp2p.simulation.oracle import Oracle
from potp2p.simulation.plans import Fault, Happening, Plan, double_of
from potp2p.simulation.traces import Trace
from potp2p.simulation.transits import Address
from potp2p.simulation.weather import Weather
from potp2p.simulation.world import World

REPAIR_SECONDS: Final = 0.5
"""From the end of a node that its disk stopped to its next start, where nothing says otherwise."""


@dataclass(slots=True)
class Nemesis:
    """The one who breaks things, and who puts every machine back on its feet."""

    world: World
    plan: Plan
    weather: Weather
    oracle: Oracle
    trace: Trace
    random: Random
    _cuts: list[Happening] = field(default_factory=list[Happening])
    _down_until: dict[str, float] = field(default_factory=dict[str, float])
    """Machines that stay off until then."""

    async def run(self) -> None:
        """Carry out every happening of the plan at its time; after the last, break nothing."""
        async with trio.open_nursery() as nursery:
            for happening in self.plan.happenings:
                nursery.start_soon(self._carry_out, happening)
        await trio.sleep_until(self.plan.calm_at / 1000)
        for machine in self.world.machines.values():
            machine.disk.cut_at = None

    async def live(self, machine: Machine) -> None:
        """Run a machine for the whole of the run: whenever it ends, start it again."""
        while True:
            machine.boot()
            self.oracle.note_boot(machine)
            self.trace.note("start", machine.name, str(machine.node.chain.head.height))
            try:
                await machine.run(machine.node, machine.scope)
            except BaseExceptionGroup as group:
                if not isinstance(group, ExceptionGroup):
                    raise
                self._note_failure(machine, group)
            until = self._down_until.pop(machine.name, trio.current_time() + REPAIR_SECONDS)
            await trio.sleep_until(until)

    def _note_failure(self, machine: Machine, group: ExceptionGroup[Exception]) -> None:
        """A node stopped by itself: right if its disk failed, else a verdict."""
        causes = leaves_of(group)
        # Where the run keeps its files is the one thing that differs between two runs.
        folder = str(self.world.folder)
        words = [f"{each!r}".replace(folder, "") for each in causes]
        self.trace.note("stopped", machine.name, *words)
        self.oracle.note_stop(machine, causes)
        if self.trace.write is not None:
            self.trace.write("".join(traceback.format_exception(group)))
        machine.lose_power(self.random.choice(tuple(Kept)), self.random)

    async def _carry_out(self, happening: Happening) -> None:
        await trio.sleep_until(happening.at / 1000)
        self.trace.note(
            "fault", happening.fault, *happening.machines, f"until {happening.until} ms"
        )
        machines = [self.world.machines[name] for name in happening.machines]
        match happening.fault:
            case Fault.PARTITIONS | Fault.ONE_WAY | Fault.TWINS:
                await self._cut(happening)
            case Fault.CLOGS:
                self._clog(machines, happening.until)
            case Fault.CRASHES | Fault.WIPES:
                for machine in machines:
                    self._crash(machine, happening)
            case Fault.POWER:
                for machine in machines:
                    self._arm(machine, happening)
            case Fault.DISKS:
                await self._fail_disks(machines, happening)
            case Fault.PAUSES:
                await self._pause(machines, happening.until)
            case (
                Fault.LATENCY
                | Fault.LOSS
                | Fault.DUPLICATION
                | Fault.CLOCKS
                | Fault.AUTHORS
                | Fault.LIARS
                | Fault.SEATS
            ):
                raise AssertionError(f"{happening.fault} lasts for the whole run")
            case _:
                assert_never(happening.fault)

    async def _cut(self, happening: Happening) -> None:
        self._cuts.append(happening)
        self._apply_cuts()
        await trio.sleep_until(happening.until / 1000)
        self._cuts.remove(happening)
        self._apply_cuts()
        self.trace.note("healed", happening.fault, *happening.machines)

    def _apply_cuts(self) -> None:
        hub = self.world.hub
        hub.heal()
        for happening in self._cuts:
            named = [self.world.machines[name].address for name in happening.machines]
            if happening.fault is Fault.TWINS:
                self._split(happening.machines[0], named[1:])
                continue
            rest = [each.address for each in self._others(happening.machines)]
            if happening.fault is Fault.PARTITIONS:
                hub.partition(named, rest)
                continue
            for sender in named:
                for receiver in rest:
                    hub.cut_one_way(sender, receiver)

    def _split(self, twin: str, side: list[Address]) -> None:
        """Let one of two machines of a key talk to a part of the others, its double to the rest."""
        pair = (twin, double_of(twin))
        rest = [each.address for each in self._others(pair) if each.address not in side]
        self.world.hub.partition([self.world.machines[pair[0]].address], rest)
        self.world.hub.partition([self.world.machines[pair[1]].address], side)

    def _others(self, names: tuple[str, ...]) -> list[Machine]:
        return [each for name, each in self.world.machines.items() if name not in names]

    def _clog(self, machines: list[Machine], until: int) -> None:
        for machine in machines:
            held = self.weather.clogged_until.get(machine.node_id, 0.0)
            self.weather.clogged_until[machine.node_id] = max(held, until / 1000)

    def _crash(self, machine: Machine, happening: Happening) -> None:
        if not machine.is_running:
            return
        self._down_until[machine.name] = happening.until / 1000
        self._cut_power(machine, Kept(happening.variant))
        if happening.fault is Fault.WIPES:
            machine.wipe()
            self.oracle.note_wipe(machine)

    def _cut_power(self, machine: Machine, kept: Kept) -> None:
        self.trace.note("crash", machine.name, kept.name)
        machine.lose_power(kept, self.random)

    def _arm(self, machine: Machine, happening: Happening) -> None:
        """Let power fail in one of the next durable operations."""
        disk = machine.disk
        disk.cut_at = disk.operations + 1 + happening.variant // 2
        disk.cut_after = happening.variant % 2 == 1
        down_seconds = (happening.until - happening.at) / 1000

        def on_cut() -> None:
            back = min(trio.current_time() + down_seconds, self.plan.calm_at / 1000)
            self._down_until[machine.name] = max(back, trio.current_time())
            self._cut_power(machine, self.random.choice(tuple(Kept)))

        disk.on_cut = on_cut

    async def _fail_disks(self, machines: list[Machine], happening: Happening) -> None:
        reason = ("no space left on device", "input/output error")[happening.variant]
        for machine in machines:
            machine.disk.failing = reason
        await trio.sleep_until(happening.until / 1000)
        for machine in machines:
            machine.disk.failing = None
        self.trace.note("repaired", *happening.machines)

    async def _pause(self, machines: list[Machine], until: int) -> None:
        """Let a process stand still: nothing comes in, goes out or becomes durable."""
        self._clog(machines, until)
        for machine in machines:
            machine.disk.stall()
        await trio.sleep_until(until / 1000)
        for machine in machines:
            machine.disk.resume()
