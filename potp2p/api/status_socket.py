"""
The status over a Unix socket: each connection gets one document and is closed.

Nothing is ever read from a connection, so nobody can ask the node to do anything here.
"""

import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from potp2p.api.status_address import socket_address
from potp2p.foundation.errors import ConfigurationError, OperatingError
from potp2p.foundation.limits import STATUS_CONNECTIONS_MAX, STATUS_WRITE_SECONDS
from potp2p.observability.representation import encode_status
from potp2p.observability.status import NodeStatus

if TYPE_CHECKING:
    # libp2p brings stubs that hide trio's own name for it.
    from trio_typing import TaskStatus

_OWNER_ONLY: Final = 0o600
_BACKLOG: Final = 16


async def serve_status(
    path: Path,
    snapshot: Callable[[], NodeStatus],
    *,
    task_status: "TaskStatus[None]" = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer on `path` until cancelled; the caller holds the lock of the data folder."""
    listener = _listen(path)
    readers = 0

    async def answer(stream: trio.SocketStream) -> None:
        nonlocal readers
        readers += 1
        try:
            if readers <= STATUS_CONNECTIONS_MAX:
                await _write(stream, encode_status(snapshot()))
        finally:
            readers -= 1
            await trio.aclose_forcefully(stream)

    try:
        task_status.started()
        await trio.serve_listeners(answer, [listener])
    finally:
        _remove(path)


def _listen(path: Path) -> trio.SocketListener:
    """Bind, restrict, then listen: nobody can connect before the mode is set."""
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with socket_address(path) as address:
            listening.bind(address)
        path.chmod(_OWNER_ONLY)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise OperatingError(f"cannot listen on {path}: {error.strerror}") from error
    return trio.SocketListener(trio.socket.from_stdlib_socket(listening))


def _remove_stale(path: Path) -> None:
    """A killed node leaves its socket behind; anything else there is not ours to remove."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigurationError(f"{path} is in the way: it is not a socket")
    path.unlink()


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _write(stream: trio.SocketStream, document: bytes) -> None:
    with trio.move_on_after(STATUS_WRITE_SECONDS):
        try:
            await stream.send_all(document)
        except trio.BrokenResourceError:
            # The reader left early: its business.
            return
