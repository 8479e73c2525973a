"""
The authenticated map: a compact sparse Merkle tree over SHA-256 of the keys.

A subtree with one leaf is that leaf, an empty one hashes to 32 zero bytes. Leaf = 0x00 || key hash
|| value hash, inner = 0x01 || left || right, each hashed with SHA-256 (prefixes as in RFC 6962).
Nodes are stored by their path (depth and prefix bits), one version only. An update costs O(k log n)
and its result depends on the contents alone, never on the order of writes.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Protocol, cast

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import Digest
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.wire.fields import DigestField
from potp2p.protocol.wire.schema import Many

EMPTY: Final = Digest(bytes(32))
DEPTH_MAX: Final = 256
SLICE_KEYS: Final = 256
"""Two to three milliseconds of hashing."""
_LEAF: Final = b"\x00"
_INNER: Final = b"\x01"


class NodeReader(Protocol):
    """Where stored nodes are read from."""

    def get_node(self, path: bytes) -> bytes | None:
        """Return the node at a path, if there is one."""


@dataclass(frozen=True, slots=True)
class LeafDigests:
    """What a leaf says: which key and which value, both hashed."""

    key: DigestField
    value: DigestField


@dataclass(frozen=True, slots=True)
class Proof:
    """The siblings from the root down to where a key's path ends, and the leaf that is there."""

    siblings: Annotated[tuple[DigestField, ...], Many(DEPTH_MAX)]
    leaf: LeafDigests | None
    """None: nothing is there. Another key's leaf proves absence as well."""


@dataclass(frozen=True, slots=True)
class _Subtree:
    """Digest of a subtree, and its node's bytes when it is a single leaf."""

    digest: Digest
    leaf: bytes | None
    is_known: bool = True
    """False: nothing below changed and nobody has looked whether it is a leaf."""


_NOTHING: Final = _Subtree(EMPTY, None)
_Item = tuple[int, bytes, bytes | None]
"""Key hash as a number and as bytes, and the leaf's node or None to delete."""


@dataclass(slots=True)
class _Update:
    """One batch: reads through its own writes."""

    nodes: NodeReader
    writes: dict[bytes, bytes | None] = field(default_factory=dict[bytes, bytes | None])

    def read(self, path: bytes) -> bytes | None:
        if path in self.writes:
            return self.writes[path]
        return self.nodes.get_node(path)

    def put(self, path: bytes, node: bytes | None) -> None:
        self.writes[path] = node


def update(
    nodes: NodeReader, root: Digest, writes: Mapping[bytes, bytes | None]
) -> tuple[Digest, dict[bytes, bytes | None]]:
    """Write and delete keys in one batch; returns the new root and the nodes to store or delete."""
    slices = updating(nodes, root, writes)
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return cast("tuple[Digest, dict[bytes, bytes | None]]", end.value)


def updating(
    nodes: NodeReader, root: Digest, writes: Mapping[bytes, bytes | None]
) -> Generator[None, None, tuple[Digest, dict[bytes, bytes | None]]]:
    """
    Do the same in slices, after each of which others may have their turn.

    Neighbours in the tree go together, so that a cut costs one path and no more.
    """
    batch = _Update(nodes)
    items = sorted(_item_of(key, value) for key, value in writes.items())
    for start in range(0, len(items), SLICE_KEYS):
        if start:
            yield
        root = _update_subtree(batch, 0, 0, root, items[start : start + SLICE_KEYS]).digest
    return root, batch.writes


def prove(nodes: NodeReader, root: Digest, key: bytes) -> Proof:
    """Return the proof of a key's value, or of its absence."""
    key_hash = sha256(key)
    number = int.from_bytes(key_hash, "big")
    siblings: list[Digest] = []
    digest, depth = root, 0
    while digest != EMPTY:
        node = nodes.get_node(_path(depth, number >> (DEPTH_MAX - depth)))
        assert node is not None, "a node of the tree is missing"
        if node[:1] == _LEAF:
            leaf = LeafDigests(Digest(node[1:33]), Digest(node[33:]))
            return Proof(tuple(siblings), leaf)
        left, right = Digest(node[1:33]), Digest(node[33:])
        goes_right = _bit(number, depth)
        siblings.append(left if goes_right else right)
        digest = right if goes_right else left
        depth += 1
    return Proof(tuple(siblings), None)


def verify_proof(root: Digest, key: bytes, value: bytes | None, proof: Proof) -> None:
    """Raise unless the proof shows that the key has this value, or none, under a root."""
    key_hash = sha256(key)
    number = int.from_bytes(key_hash, "big")
    depth = len(proof.siblings)
    digest = EMPTY
    if proof.leaf is not None:
        digest = sha256(_LEAF + proof.leaf.key + proof.leaf.value)
        shift = DEPTH_MAX - depth
        if int.from_bytes(proof.leaf.key, "big") >> shift != number >> shift:
            raise PeerError(RejectionReason.BAD_PROOF, "leaf of another path")
    shown = proof.leaf is not None and proof.leaf.key == key_hash
    if value is None:
        if shown:
            raise PeerError(RejectionReason.BAD_PROOF, "the key has a value")
    elif not shown or proof.leaf is None or proof.leaf.value != sha256(value):
        raise PeerError(RejectionReason.BAD_PROOF, "the key has another value")
    for level in range(depth - 1, -1, -1):
        sibling = proof.siblings[level]
        pair = sibling + digest if _bit(number, level) else digest + sibling
        digest = sha256(_INNER + pair)
    if digest != root:
        raise PeerError(RejectionReason.BAD_PROOF, "proof under another root")


def _item_of(key: bytes, value: bytes | None) -> _Item:
    key_hash = sha256(key)
    node = None if value is None else _LEAF + key_hash + sha256(value)
    return int.from_bytes(key_hash, "big"), key_hash, node


def _update_subtree(
    batch: _Update, depth: int, prefix: int, digest: Digest, items: list[_Item]
) -> _Subtree:
    """Apply items, all below this path, to the subtree that hashes to `digest`."""
    path = _path(depth, prefix)
    node = None if digest == EMPTY else batch.read(path)
    assert (node is None) == (digest == EMPTY), "a node of the tree is missing"
    if node is None or node[:1] == _LEAF:
        return _rebuild(batch, depth, prefix, node, items)
    left_items, right_items = _divide(items, depth)
    left = _descend(batch, depth, prefix << 1, Digest(node[1:33]), left_items)
    right = _descend(batch, depth, prefix << 1 | 1, Digest(node[33:]), right_items)
    return _join(batch, depth, prefix, left, right)


def _descend(
    batch: _Update, depth: int, prefix: int, digest: Digest, items: list[_Item]
) -> _Subtree:
    if items:
        return _update_subtree(batch, depth + 1, prefix, digest, items)
    return _NOTHING if digest == EMPTY else _Subtree(digest, None, is_known=False)


def _rebuild(
    batch: _Update, depth: int, prefix: int, node: bytes | None, items: list[_Item]
) -> _Subtree:
    """Replace nothing or one leaf by what it becomes with the items."""
    kept = [item for item in items if item[2] is not None]
    if node is not None and all(item[1] != node[1:33] for item in items):
        kept.append((int.from_bytes(node[1:33], "big"), node[1:33], node))
        kept.sort()
    if not kept and node is not None:
        batch.put(_path(depth, prefix), None)
    return _build(batch, depth, prefix, kept)


def _build(batch: _Update, depth: int, prefix: int, items: list[_Item]) -> _Subtree:
    if not items:
        return _NOTHING
    if len(items) == 1:
        leaf = items[0][2]
        assert leaf is not None
        batch.put(_path(depth, prefix), leaf)
        return _Subtree(sha256(leaf), leaf)
    left_items, right_items = _divide(items, depth)
    left = _build(batch, depth + 1, prefix << 1, left_items)
    right = _build(batch, depth + 1, prefix << 1 | 1, right_items)
    return _join(batch, depth, prefix, left, right)


def _join(batch: _Update, depth: int, prefix: int, left: _Subtree, right: _Subtree) -> _Subtree:
    """Put two halves together: a lone leaf moves up, so that the form depends on contents only."""
    path = _path(depth, prefix)
    if left.digest == EMPTY and right.digest == EMPTY:
        batch.put(path, None)
        return _NOTHING
    if EMPTY in (left.digest, right.digest):
        side = 0 if right.digest == EMPTY else 1
        below = _path(depth + 1, prefix << 1 | side)
        lone = _looked_up(batch, below, right if side else left)
        if lone.leaf is not None:
            batch.put(below, None)
            batch.put(path, lone.leaf)
            return lone
    node = _INNER + left.digest + right.digest
    batch.put(path, node)
    return _Subtree(sha256(node), None)


def _looked_up(batch: _Update, path: bytes, subtree: _Subtree) -> _Subtree:
    """Return an untouched subtree as what it is; only one whose sibling is empty has to say."""
    if subtree.is_known:
        return subtree
    node = batch.read(path)
    assert node is not None, "a node of the tree is missing"
    return _Subtree(subtree.digest, node if node[:1] == _LEAF else None)


def _divide(items: list[_Item], depth: int) -> tuple[list[_Item], list[_Item]]:
    left = [item for item in items if not _bit(item[0], depth)]
    return left, items[len(left) :]


def _bit(number: int, depth: int) -> int:
    return number >> (DEPTH_MAX - 1 - depth) & 1


def _path(depth: int, prefix: int) -> bytes:
    """Return the storage key of a node: depth, then the prefix bits, left-aligned."""
    size = (depth + 7) // 8
    return depth.to_bytes(2, "big") + (prefix << (8 * size - depth)).to_bytes(size, "big")
