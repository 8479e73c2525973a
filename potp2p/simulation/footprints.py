"""How much a running node keeps: a walk over all that its services hold, by nobody's account."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Final

import trio

from potp2p.network.ports import Heard
from potp2p.node.composition import Node
from potp2p.protocol.wire.blocks import Block, Header
from potp2p.simulation.disks import MemoryJournal, MemoryRecord
from potp2p.simulation.network import MemoryHub, MemoryNetwork
from potp2p.simulation.stores import FolderBlobStore, MemoryChainStore, MemoryNotebook

THINGS_MAX: Final = 4_096
"""Longest table of a service: remembered signatures. A short run must stay far below the rest."""
DEPTH_MAX: Final = 12
_WORLD: Final = (
    MemoryHub,
    MemoryNetwork,
    MemoryChainStore,
    MemoryNotebook,
    MemoryJournal,
    MemoryRecord,
    FolderBlobStore,
)
"""What belongs to the machine, not to the node."""
_WHOLE: Final = (Block, Header, Heard, str, bytes, int, float, type(None), trio.Nursery)
"""Values that are what they are: what matters is how many of them are kept."""


def overgrown(node: Node) -> Iterator[tuple[str, int]]:
    """Return every container of a node that is longer than any bound allows, by its path."""
    for path, size in containers(node):
        if size > THINGS_MAX:
            yield path, size


def containers(node: Node) -> Iterator[tuple[str, int]]:
    """Return path and length of every dict, list, set and queue that a node's services hold."""
    seen: set[int] = set()
    waiting: list[tuple[str, object, int]] = [("node", node, 0)]
    while waiting:
        path, thing, depth = waiting.pop()
        if id(thing) in seen or depth > DEPTH_MAX or isinstance(thing, (*_WORLD, *_WHOLE, type)):
            continue
        seen.add(id(thing))
        if isinstance(thing, dict | OrderedDict):
            yield path, len(thing)
            waiting += [(f"{path}[]", each, depth + 1) for each in thing.values()]
        elif isinstance(thing, list | set | frozenset | deque):
            yield path, len(thing)
            waiting += [(f"{path}[]", each, depth + 1) for each in thing]
        else:
            waiting += [(f"{path}.{name}", each, depth + 1) for name, each in _parts(thing)]


def _parts(thing: object) -> Iterable[tuple[str, object]]:
    if isinstance(thing, trio.MemoryReceiveChannel | trio.MemorySendChannel):
        state: object = getattr(thing, "_state", None)
        return [("waiting", getattr(state, "data", ()))]
    if is_dataclass(thing):
        return [
            (each.name, getattr(thing, each.name))
            for each in fields(thing)
            if hasattr(thing, each.name)
        ]
    if type(thing).__module__.startswith("potp2p."):
        return list(getattr(thing, "__dict__", {}).items())
    return []
