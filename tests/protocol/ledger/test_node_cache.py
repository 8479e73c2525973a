"""The cache of tree nodes: one root, one content, and no more than its bound."""

from collections.abc import Mapping

import pytest

from potp2p.foundation.types import Digest
from potp2p.protocol.ledger import node_cache
from potp2p.protocol.ledger.node_cache import NodeCache

FIRST, SECOND = Digest(b"\x01" * 32), Digest(b"\x02" * 32)


class Store:
    """Nodes that count how often they are read."""

    def __init__(self, nodes: Mapping[bytes, bytes]) -> None:
        self.nodes = dict(nodes)
        self.reads = 0

    def get_node(self, path: bytes) -> bytes | None:
        self.reads += 1
        return self.nodes.get(path)


def test_a_node_is_read_once_and_its_absence_too() -> None:
    store = Store({b"a": b"1"})
    cache = NodeCache(store, FIRST)

    assert [cache.get_node(path) for path in (b"a", b"a", b"b", b"b")] == [b"1", b"1", None, None]
    assert store.reads == 2


def test_under_another_root_nothing_is_remembered() -> None:
    store = Store({b"a": b"1"})
    cache = NodeCache(store, FIRST)
    cache.get_node(b"a")
    store.nodes[b"a"] = b"2"

    cache.turn(FIRST)
    assert cache.get_node(b"a") == b"1"
    cache.turn(SECOND)
    assert cache.get_node(b"a") == b"2"


def test_what_a_block_wrote_or_deleted_stands_without_a_read() -> None:
    store = Store({b"a": b"1", b"b": b"1"})
    cache = NodeCache(store, FIRST)
    cache.get_node(b"a")

    cache.advance(SECOND, {b"a": None, b"b": b"2"})
    cache.turn(SECOND)

    assert (cache.get_node(b"a"), cache.get_node(b"b"), store.reads) == (None, b"2", 1)


def test_no_more_nodes_are_kept_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_cache, "NODES_CACHED", 3)
    cache = NodeCache(Store({}), FIRST)
    for number in range(9):
        cache.get_node(bytes([number]))
    assert len(cache._known) == 3
    cache.advance(SECOND, {bytes([number]): b"x" for number in range(20, 29)})
    assert sorted(cache._known) == [bytes([number]) for number in (26, 27, 28)]
