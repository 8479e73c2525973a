"""Nodes of the authenticated map that were read or written lately."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from potp2p.foundation.types import Digest
from potp2p.protocol.ledger.tree import NodeReader

NODES_CACHED: Final = 1 << 15
"""Ten megabytes: the upper fifteen levels, or all of a state of ten thousand records."""


@dataclass(slots=True)
class NodeCache:
    """Nodes of the present tree, the most recently added kept; a tree is named by its root."""

    nodes: NodeReader
    root: Digest
    _known: dict[bytes, bytes | None] = field(default_factory=dict[bytes, bytes | None])

    def turn(self, root: Digest) -> None:
        """Forget everything unless the tree is the one that is known."""
        if root != self.root:
            self.root = root
            self._known.clear()

    def advance(self, root: Digest, writes: Mapping[bytes, bytes | None]) -> None:
        """Take over what a stored block wrote."""
        self.root = root
        self._known.update(writes)
        while len(self._known) > NODES_CACHED:
            del self._known[next(iter(self._known))]

    def get_node(self, path: bytes) -> bytes | None:
        """Return the node at a path, if there is one."""
        if path in self._known:
            return self._known[path]
        node = self._known[path] = self.nodes.get_node(path)
        if len(self._known) > NODES_CACHED:
            del self._known[next(iter(self._known))]
        return node
