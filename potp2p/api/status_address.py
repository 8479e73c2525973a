"""Where the status socket lies: inside the data folder, however long the folder's path is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from potp2p.foundation.errors import ConfigurationError
from potp2p.foundation.limits import UNIX_PATH_BYTES_MAX

SOCKET_NAME: Final = "status.sock"
_DESCRIPTORS: Final = Path("/proc/self/fd")


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """
    Yield an address that fits the kernel's limit and means `path`.

    A path too long for a socket address is reached through a descriptor of its folder.
    """
    if len(os.fsencode(path)) <= UNIX_PATH_BYTES_MAX:
        yield str(path)
        return
    if not _DESCRIPTORS.exists():
        raise ConfigurationError(
            f"the data folder's path is too long for a socket: {path} has more than "
            f"{UNIX_PATH_BYTES_MAX} bytes; choose a shorter --datadir"
        )
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield str(_DESCRIPTORS / str(descriptor) / path.name)
    finally:
        os.close(descriptor)
