"""
The Merkle sum tree over frozen weights: a root that proves every miner's interval.

A leaf is (miner, weight) in ascending order of miner; an inner node hashes both children with their
sums, so that no proof can move an interval without changing the root. An odd last node moves up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import Amount, Digest, NodeId
from potp2p.protocol.crypto.hashing import sha256, tagged_hash
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.certificates import WeightProof, WeightStep

WEIGHTS_DOMAIN: Final = "potp2p/weights/1"
SUM_BYTES: Final = 8

Weights = Sequence[tuple[NodeId, int]]


@dataclass(frozen=True, slots=True)
class _Node:
    sum: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Interval:
    """Half-open span [start, start + weight) of the cumulative weights."""

    miner: NodeId
    start: int
    weight: int


def weights_root(weights: Weights) -> Digest:
    """Return the root over all weights; NO_DIGEST when there are none."""
    if not weights:
        return NO_DIGEST
    return _seal(_levels(weights)[-1][0])


def total_weight(weights: Weights) -> Amount:
    """Return the sum of all weights."""
    return Amount(sum(weight for _, weight in weights))


def prove_weight(weights: Weights, index: int) -> WeightProof:
    """Show the interval of one miner."""
    miner, weight = weights[index]
    steps: list[WeightStep] = []
    for level in _levels(weights)[:-1]:
        sibling = index ^ 1
        if sibling < len(level):
            node = level[sibling]
            steps.append(WeightStep(sibling < index, Amount(node.sum), node.digest))
        index //= 2
    return WeightProof(miner, Amount(weight), tuple(steps))


def verify_weight(root: Digest, total: int, proof: WeightProof) -> Interval:
    """Return the interval that a proof shows under a root, or raise PeerError."""
    node, start = _leaf(proof.miner, proof.weight), 0
    for step in proof.steps:
        sibling = _Node(step.sum, step.digest)
        if step.on_left:
            node, start = _join(sibling, node), start + step.sum
        else:
            node = _join(node, sibling)
    if node.sum != total or _seal(node) != root:
        raise PeerError(RejectionReason.BAD_PROOF, "weight under another root")
    return Interval(proof.miner, start, proof.weight)


def _levels(weights: Weights) -> list[list[_Node]]:
    level = [_leaf(miner, weight) for miner, weight in weights]
    levels = [level]
    while len(level) > 1:
        paired = [_join(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
        levels.append(level)
    return levels


def _leaf(miner: NodeId, weight: int) -> _Node:
    return _Node(weight, sha256(b"\x00" + miner + weight.to_bytes(SUM_BYTES, "big")))


def _join(left: _Node, right: _Node) -> _Node:
    total = left.sum + right.sum
    if total >= 1 << (8 * SUM_BYTES):
        raise PeerError(RejectionReason.OUT_OF_BOUNDS, "sum of weights")
    body = b"".join(
        part
        for node in (left, right)
        for part in (node.sum.to_bytes(SUM_BYTES, "big"), node.digest)
    )
    return _Node(total, sha256(b"\x01" + body))


def _seal(node: _Node) -> Digest:
    return tagged_hash(WEIGHTS_DOMAIN, node.sum.to_bytes(SUM_BYTES, "big"), node.digest)
