"""
One validator under measurement: the real node, its stages told on standard output.

`python -m potp2p.benchmarks.consensus_node DATADIR TRANSACTIONS_MAX LATENCY_MS MEGABITS`. All is as
in `potp2p start` but for four things: no worker process, which a network without a task never asks;
an author's own bound on transactions, which anyone may keep to; a slow line, where one is asked
for; and the notes. One JSON object a line: a stage with the clock of this machine, which is the
same for all its processes.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import trio
from trio_typing import TaskStatus

from potp2p.api.status_socket import serve_status
from potp2p.foundation.errors import OperatingError
from potp2p.foundation.version import VERSION
from potp2p.network.emulation import LinePlan
from potp2p.node.composition import Node
from potp2p.node.launch import launch_of
from potp2p.node.lifecycle import run_node
from potp2p.observability.status import LoopStatus, NodeStatus
from potp2p.protocol.wire.blocks import Block, Seal
from potp2p.services.consensus_stages import Stage
from potp2p.settings.configuration import load_configuration
from potp2p.training.commands import Command
from potp2p.training.reports import Report
from potp2p.workers.ports import OnProgress, WorkerFacts

WRITE_SECONDS: Final = 0.1
"""Between two writes; what a SIGKILL loses is no older."""
NOTES_MAX: Final = 1 << 20
"""An hour of a hundred blocks a second; then notes are dropped."""


class NoWorkers:
    """Stands in for the devices of a validator that nobody asks to judge."""

    async def run(self, *, task_status: TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep no process."""
        task_status.started()
        await trio.sleep_forever()

    async def execute(
        self,
        command: Command,
        progress: OnProgress | None = None,
        device: int = 0,
        priority: int | None = None,
    ) -> Report:
        """Refuse: a measured network has no task."""
        raise OperatingError(f"nothing computes {type(command).__name__} here")

    def facts(self) -> tuple[WorkerFacts, ...]:
        """Return no device."""
        return ()


@dataclass(slots=True)
class Notes:
    """What the validator did and when, on its way to standard output."""

    descriptor: int
    left: int = NOTES_MAX
    lines: list[str] = field(default_factory=list[str])

    def observe(self, stage: Stage, block: Block, seal: Seal | None) -> None:
        """Note a stage of a height."""
        if self.left <= 0:
            return
        self.left -= 1
        note: dict[str, object] = {
            "stage": stage.value,
            "at": time.monotonic_ns(),
            "height": block.header.body.height,
        }
        if stage is Stage.STORED and seal is not None:
            note["view"] = seal.view
            note["transactions"] = len(block.transactions)
            note["signers"] = [each.signer for each in seal.signatures]
        self.lines.append(json.dumps(note))

    async def write(self, loop: Callable[[], LoopStatus | None]) -> None:
        """Write what was noted, with the loop's hold beside it; ends by cancellation."""
        while True:
            await trio.sleep(WRITE_SECONDS)
            read = loop()
            if read is not None:
                longest = [read.hold_p50, read.hold_p99, read.hold_max]
                self.lines.append(json.dumps({"stage": "hold", "seconds": longest}))
            written, self.lines = self.lines, []
            if written:
                os.write(self.descriptor, ("\n".join(written) + "\n").encode())


async def run_validator(folder: Path, transactions_max: int, line: LinePlan | None) -> None:
    """Run until a signal ends it."""
    configuration = load_configuration(folder / "config.toml", environment={}, flags={})
    launch = replace(launch_of(configuration, folder, VERSION), line=line)
    notes = Notes(sys.stdout.fileno())

    async def answer(snapshot: Callable[[], NodeStatus]) -> None:
        await serve_status(folder / "status.sock", snapshot)

    async def run(*, task_status: TaskStatus[Node] = trio.TASK_STATUS_IGNORED) -> None:
        await run_node(launch, (answer,), workers=NoWorkers(), task_status=task_status)

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            node = await nursery.start(run)
            assert node.consensus is not None, "its configuration makes it a validator"
            node.consensus.observe = notes.observe
            node.authoring.transactions_max = transactions_max
            nursery.start_soon(notes.write, node.status.loop)
            async for _ in signals:
                break
            nursery.cancel_scope.cancel()


def line_of(latency_milliseconds: str, megabits: str) -> LinePlan | None:
    """Return what to emulate; None where both are zero."""
    latency, bandwidth = int(latency_milliseconds), int(megabits)
    if not latency and not bandwidth:
        return None
    return LinePlan(latency / 1_000, bandwidth * 1_000_000 / 8)


if __name__ == "__main__":
    trio.run(run_validator, Path(sys.argv[1]), int(sys.argv[2]), line_of(*sys.argv[3:5]))
