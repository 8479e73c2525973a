"""A whole network in one trio process: real nodes over memory, fake devices and virtual time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import trio

from potp2p.foundation.types import Height
from potp2p.protocol.ledger.block import Outcome
from potp2p.protocol.wire.exchange import Role
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import encode
from potp2p.simulation.accounts import money_of
from potp2p.simulation.genesis import START_SECONDS
from potp2p.simulation.machine import Machine
from potp2p.simulation.network import MemoryHub
from potp2p.simulation.workers import FakeWorkers


@dataclass(slots=True)
class World:
    """Machines on one wire."""

    folder: Path
    genesis: Genesis
    hub: MemoryHub
    nursery: trio.Nursery
    machines: dict[str, Machine] = field(default_factory=dict[str, Machine])
    first: Outcome | None = None
    """State at height 0 where it is not that of the document."""

    @property
    def genesis_bytes(self) -> bytes:
        """Return the document."""
        return encode(self.genesis)

    def add(
        self,
        name: str,
        role: Role,
        *,
        workers: FakeWorkers | None = None,
        tamper: Callable[[Machine], None] | None = None,
    ) -> Machine:
        """Start a machine."""
        machine = self.place(name, role, workers=workers, tamper=tamper)
        self.start(machine)
        return machine

    def place(
        self,
        name: str,
        role: Role,
        *,
        workers: FakeWorkers | None = None,
        tamper: Callable[[Machine], None] | None = None,
        identity: str | None = None,
    ) -> Machine:
        """Put a machine there without starting it."""
        machine = Machine(
            name,
            role,
            self.hub,
            self.genesis_bytes,
            self.folder / name,
            None if role is Role.OBSERVER else workers or FakeWorkers(),
            tamper=tamper,
            identity=identity,
            first=self.first,
        )
        self.machines[name] = machine
        return machine

    def start(self, machine: Machine) -> None:
        """Start a machine, or start it again from its disk."""
        machine.boot()
        self.nursery.start_soon(machine.run, machine.node, machine.scope)

    def freeze(self) -> None:
        """Stop every machine and build it again from its disk; nothing runs any more."""
        for machine in self.machines.values():
            machine.kill()
        for machine in self.machines.values():
            machine.boot()

    def primary(self, view: int = 0) -> Machine:
        """Return the machine that leads a view of the next height."""
        prospects = self.machines["validator-0"].node.chain.prospects
        node = prospects.nodes[prospects.primaries[view]]
        return next(each for each in self.machines.values() if each.node_id == node)

    async def until(self, condition: Callable[[], bool], *, seconds: float = 120) -> None:
        """Return once a condition holds, looking every virtual 50 ms."""
        with trio.move_on_after(seconds) as scope:
            while not condition():  # noqa: ASYNC110  # any state of any machine may be asked for
                await trio.sleep(0.05)
        if scope.cancelled_caught:
            raise AssertionError(f"not within {seconds} s:\n{self.story()}")

    async def height(self, height: int, *names: str) -> None:
        """Return once these machines, or all, are at least this high."""
        chosen = [self.machines[name] for name in names or self.machines]
        await self.until(lambda: all(each.node.chain.head.height >= height for each in chosen))

    def story(self) -> str:
        """Return what every machine said last, for a run that failed."""
        lines: list[str] = []
        for name, machine in self.machines.items():
            lines.append(f"{name} at {machine.node.chain.head.height}")
            lines += [
                f"  {line.time - START_SECONDS:7.2f} {line.tag} {line.text}"
                for line in machine.node.logbook.lines()[-25:]
            ]
        return "\n".join(lines)

    def assert_one_history(self, *names: str) -> None:
        """Every block that two of these machines both have is the same one."""
        chosen = [self.machines[name] for name in names or self.machines]
        low = min(each.node.chain.head.height for each in chosen)
        for height in range(1, low + 1):
            blocks = {(each.store.block(Height(height)) or (b"", b""))[0] for each in chosen}
            assert len(blocks) == 1, f"two blocks at height {height}"

    def assert_money_conserved(self) -> None:
        """All money of every node's state adds up to the recorded supply."""
        for machine in self.machines.values():
            assert money_of(machine.store.states) == machine.node.chain.state().chain().supply
