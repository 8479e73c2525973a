"""Runs a node with the faces that its owner asked for."""

import os
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from cli.exits import ExitCode, Stopped
from cli.options import RoleChoice, ScreenChoice
from potp2p.api.status_socket import serve_status
from potp2p.foundation.errors import ConfigurationError
from potp2p.foundation.version import VERSION
from potp2p.node.launch import launch_of
from potp2p.node.lifecycle import run_node
from potp2p.observability.status import NodeStatus
from potp2p.settings.configuration import (
    Configuration,
    ScreenMode,
    load_configuration,
)
from potp2p.settings.paths import NodePaths, node_paths
from potp2p.ui.dashboard import run_dashboard
from potp2p.ui.plain import run_plain
from potp2p.ui.screen import HEIGHT_MIN, WIDTH_MIN
from potp2p.ui.terminal import is_full_screen_possible, write_line

if TYPE_CHECKING:
    # libp2p brings stubs that hide trio's own name for it.
    from trio_typing import TaskStatus

Snapshot = Callable[[], NodeStatus]
Face = Callable[[Snapshot], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class StartFlags:
    """What the command line said; None and empty where nothing was said."""

    role: RoleChoice | None
    datadir: Path | None
    devices: str | None
    mode: ScreenChoice | None
    ascii_only: bool
    listen: tuple[str, ...]
    bootstrap: tuple[str, ...]
    checkpoint: str | None


def run(flags: StartFlags) -> int:
    """Run the node until something ends it; a stop that was asked for is a clean end."""
    paths = node_paths(flags.datadir)
    if not paths.configuration.exists():
        raise ConfigurationError(f"{paths.configuration} does not exist; run potp2p init first")
    configuration = load_configuration(
        paths.configuration, environment=os.environ, flags=_overrides(flags)
    )
    trio.run(_run, flags, configuration, paths)
    return ExitCode.DONE


async def _run(flags: StartFlags, configuration: Configuration, paths: NodePaths) -> None:
    mode = _mode(configuration.ui.mode)
    launch = launch_of(configuration, paths.data, VERSION)
    faces = _faces(flags, configuration, paths, mode)
    is_started = False
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def end_on_signal() -> None:
                async for number in signals:
                    if not is_started:
                        interrupted = number == signal.SIGINT
                        raise Stopped(ExitCode.INTERRUPTED if interrupted else ExitCode.TERMINATED)
                    nursery.cancel_scope.cancel()
                    return

            async def run_to_its_end(
                *, task_status: "TaskStatus[object]" = trio.TASK_STATUS_IGNORED
            ) -> None:
                await run_node(launch, faces, task_status=task_status)
                nursery.cancel_scope.cancel()

            nursery.start_soon(end_on_signal)
            await nursery.start(run_to_its_end)
            is_started = True


def _overrides(flags: StartFlags) -> dict[str, object]:
    overrides: dict[str, object] = {}
    if flags.role is not None:
        overrides["node.role"] = str(flags.role)
    if flags.devices is not None:
        names = [each.strip() for each in flags.devices.split(",")]
        overrides["miner.devices"] = [] if names == ["all"] else names
    if flags.listen:
        overrides["network.listen"] = list(flags.listen)
    if flags.bootstrap:
        overrides["network.bootstrap"] = list(flags.bootstrap)
    if flags.checkpoint is not None:
        overrides["network.checkpoint"] = flags.checkpoint
    if flags.mode is not None:
        overrides["ui.mode"] = str(flags.mode)
    return overrides


def _mode(wanted: ScreenMode) -> ScreenMode:
    """Settle what `auto` means here; a full screen that cannot be is plain lines."""
    possible = is_full_screen_possible(WIDTH_MIN, HEIGHT_MIN)
    if wanted in {ScreenMode.AUTO, ScreenMode.FULL}:
        return ScreenMode.FULL if possible else ScreenMode.PLAIN
    return wanted


def _faces(
    flags: StartFlags, configuration: Configuration, paths: NodePaths, mode: ScreenMode
) -> tuple[Face, ...]:
    async def answer(snapshot: Snapshot) -> None:
        await serve_status(paths.status_socket, snapshot)

    async def dashboard(snapshot: Snapshot) -> None:
        await run_dashboard(
            snapshot,
            ascii_only=flags.ascii_only or configuration.ui.ascii,
            restart_command=_restart_command(flags),
        )

    async def plain(snapshot: Snapshot) -> None:
        await run_plain(snapshot, partial(write_line, sys.stdout.fileno()))

    shown: tuple[Face, ...] = ()
    if mode is ScreenMode.FULL:
        shown = (dashboard,)
    elif mode is ScreenMode.PLAIN:
        shown = (plain,)
    return (answer, *shown)


def _restart_command(flags: StartFlags) -> str:
    folder = [] if flags.datadir is None else ["--datadir", str(flags.datadir)]
    return shlex.join(["potp2p", "start", *folder])
