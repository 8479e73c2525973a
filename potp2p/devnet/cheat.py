"""
One node of a local network that cheats: the real node, with an adversary before its devices.

`python -m potp2p.devnet.cheat KIND PLACE DATADIR LEAGUE`: PLACE is `miner` or `seat`, LEAGUE a
folder in which members of one league leave word for each other.
"""

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio
from trio_typing import TaskStatus

from potp2p.api.status_socket import serve_status
from potp2p.foundation.version import VERSION
from potp2p.node.composition import Node
from potp2p.node.launch import launch_of
from potp2p.node.lifecycle import run_node
from potp2p.observability.status import NodeStatus
from potp2p.settings.configuration import load_configuration
from potp2p.simulation.adversaries.cheat import Cheat, CheatingWorkers, League
from potp2p.simulation.adversaries.kinds import Place, parse_kind
from potp2p.simulation.adversaries.roster import cheat_of
from potp2p.ui.plain import run_plain
from potp2p.ui.terminal import write_line
from potp2p.workers.ports import WorkerFleet
from potp2p.workers.supervisor import Workers


@dataclass(slots=True)
class CheatingFleet(CheatingWorkers):
    """Real devices, with their processes, behind an adversary."""

    fleet: WorkerFleet

    async def run(self, *, task_status: TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the processes; ends by cancellation."""
        await self.fleet.run(task_status=task_status)


async def run_cheat(cheat: Cheat, folder: Path) -> None:
    """Run until a signal ends it."""
    configuration = load_configuration(folder / "config.toml", environment={}, flags={})
    launch = launch_of(configuration, folder, VERSION)
    devices = Workers(launch.devices)
    fleet = CheatingFleet(devices, cheat, devices)

    async def answer(snapshot: Callable[[], NodeStatus]) -> None:
        await serve_status(folder / "status.sock", snapshot)

    async def plain(snapshot: Callable[[], NodeStatus]) -> None:
        await run_plain(snapshot, partial(write_line, sys.stdout.fileno()))

    async def run(*, task_status: TaskStatus[Node] = trio.TASK_STATUS_IGNORED) -> None:
        await run_node(launch, (answer, plain), workers=fleet, task_status=task_status)

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            node = await nursery.start(run)
            cheat.take_over(node)
            nursery.start_soon(cheat.scheme)
            async for _ in signals:
                break
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    kind, place, data_folder, league = sys.argv[1:5]
    adversary = cheat_of(parse_kind(kind), Place(place), League(Path(league)))
    trio.run(run_cheat, adversary, Path(data_folder))
