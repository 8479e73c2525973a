"""Reads a running node's status from its socket; blocking, and light enough for a quick command."""

import socket
import time
from pathlib import Path
from typing import Final

from potp2p.api.status_address import socket_address
from potp2p.foundation.errors import OperatingError, UnreachableError
from potp2p.foundation.limits import STATUS_BYTES_MAX

_READ_BYTES: Final = 1 << 16


def read_status(path: Path, deadline_seconds: float) -> bytes:
    """Return one status document; UnreachableError when no node answers in time."""
    deadline = time.monotonic() + deadline_seconds
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(deadline_seconds)
            with socket_address(path) as address:
                connection.connect(address)
            return _read_all(connection, path, deadline)
    except OSError as error:
        raise UnreachableError(f"no running node answers at {path}") from error


def _read_all(connection: socket.socket, path: Path, deadline: float) -> bytes:
    received = bytearray()
    while part := connection.recv(_READ_BYTES):
        received += part
        if len(received) > STATUS_BYTES_MAX:
            raise OperatingError(f"the answer at {path} is longer than a status can be")
        left_seconds = deadline - time.monotonic()
        if left_seconds <= 0:
            raise UnreachableError(f"the node at {path} did not finish its answer in time")
        connection.settimeout(left_seconds)
    if not received:
        raise UnreachableError(f"the node at {path} closed the connection without an answer")
    return bytes(received)
