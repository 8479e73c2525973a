"""Roots and membership proofs over ordered leaves; the tree of RFC 6962, section 2.1."""

from dataclasses import dataclass
from typing import Final

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import Digest
from potp2p.protocol.crypto.hashing import sha256

PROOF_DIGESTS_MAX: Final = 48
"""A tree over 2^48 leaves; more steps are never walked."""


@dataclass(frozen=True, slots=True)
class MerkleProof:
    """What leads from one leaf to the root: its place, the tree's size and the siblings."""

    index: int
    count: int
    siblings: tuple[Digest, ...]
    """From the leaf upwards."""


def leaf_hash(leaf: bytes) -> Digest:
    """Return the node of a leaf; the prefix keeps leaves from posing as inner nodes."""
    return sha256(b"\x00" + leaf)


def node_hash(left: Digest, right: Digest) -> Digest:
    """Return the node above two others."""
    return sha256(b"\x01" + left + right)


def merkle_root(leaves: list[Digest] | list[bytes]) -> Digest:
    """Return the root; that of no leaves is the hash of nothing, as in the RFC."""
    if not leaves:
        return sha256(b"")
    level = [leaf_hash(leaf) for leaf in leaves]
    while len(level) > 1:
        level = _level_above(level)
    return level[0]


def merkle_proof(leaves: list[Digest] | list[bytes], index: int) -> MerkleProof:
    """Return the proof that the leaf at this index belongs to the root of these leaves."""
    assert 0 <= index < len(leaves), index
    level = [leaf_hash(leaf) for leaf in leaves]
    place, siblings = index, list[Digest]()
    while len(level) > 1:
        if place ^ 1 < len(level):
            siblings.append(level[place ^ 1])
        level = _level_above(level)
        place >>= 1
    return MerkleProof(index, len(leaves), tuple(siblings))


def verify_merkle_proof(root: Digest, leaf: bytes, proof: MerkleProof) -> None:
    """Raise PeerError unless the leaf stands at its index in the tree with this root."""
    if not 0 <= proof.index < proof.count or len(proof.siblings) > PROOF_DIGESTS_MAX:
        raise PeerError(RejectionReason.BAD_PROOF, "index outside the tree")
    node, place, last = leaf_hash(leaf), proof.index, proof.count - 1
    siblings = iter(proof.siblings)
    while last > 0:
        # A last node without sibling rises unchanged: that is how the RFC splits odd sizes.
        if place & 1 or place < last:
            sibling = next(siblings, None)
            if sibling is None:
                raise PeerError(RejectionReason.BAD_PROOF, "proof too short")
            node = node_hash(sibling, node) if place & 1 else node_hash(node, sibling)
        place, last = place >> 1, last >> 1
    if next(siblings, None) is not None:
        raise PeerError(RejectionReason.BAD_PROOF, "proof too long")
    if node != root:
        raise PeerError(RejectionReason.BAD_PROOF, "proof leads to another root")


def _level_above(level: list[Digest]) -> list[Digest]:
    above = [node_hash(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
    return [*above, level[-1]] if len(level) % 2 else above
