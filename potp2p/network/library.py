"""
What must hold of the libp2p library before we touch it: its exact version, and its silence.

Every guard in this package is written against the source of one version (reference: network.md);
another one may rename what we override and then quietly lose a guard.
"""

import logging
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from potp2p.foundation.errors import ConfigurationError

LIBRARY_VERSION: Final = "0.8.1"


def require_pinned_version() -> None:
    """Refuse to start over a libp2p whose guards were never tested."""
    try:
        found = version("libp2p")
    except PackageNotFoundError:
        found = "none"
    if found != LIBRARY_VERSION:
        raise ConfigurationError(
            f"libp2p {LIBRARY_VERSION} is required, found {found}: run `make setup`"
        )


def silence() -> None:
    """
    Keep the library's words to itself: what matters of them, our own modules say.

    It warns of every peer that hangs up. Parts of it log through the root logger's module
    functions, which install a stderr handler of their own when the root logger has none.
    """
    library = logging.getLogger("libp2p")
    library.propagate = False
    if not library.handlers:
        library.addHandler(logging.NullHandler())
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())
