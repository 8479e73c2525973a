"""The draw of a height's authors from frozen weights, and its check from proofs alone."""

from collections.abc import Container, Sequence
from typing import Final

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import AUTHORS_RANKED
from potp2p.foundation.types import Digest, Height, NodeId
from potp2p.protocol.crypto.hashing import tagged_hash
from potp2p.protocol.incentives.weights import Interval, Weights, prove_weight, verify_weight
from potp2p.protocol.wire.certificates import DRAWS_MAX, Certificate, DrawProof

LOTTERY_DOMAIN: Final = "potp2p/lottery/1"


def ticket(beacon: Digest, height: Height, draw: int, total: int) -> int:
    """Return SHA-256(domain || beacon || height || draw) mod total."""
    digest = tagged_hash(LOTTERY_DOMAIN, beacon, height.to_bytes(8, "big"), draw.to_bytes(2, "big"))
    return int.from_bytes(digest, "big") % total


def draw_miners(
    beacon: Digest, height: Height, weights: Weights, barred: Container[NodeId]
) -> tuple[int, ...]:
    """
    Return the indexes drawn without replacement, until enough of them may hold a rank.

    Barred miners are drawn like all others and only hold no rank, so that whoever has the root can
    redo the draw without knowing who was barred.
    """
    left = [(index, weight) for index, (_, weight) in enumerate(weights) if weight > 0]
    drawn: list[int] = []
    ranked = 0
    while left and ranked < AUTHORS_RANKED and len(drawn) < DRAWS_MAX:
        point = ticket(beacon, height, len(drawn), sum(weight for _, weight in left))
        place = _place_of(left, point)
        index, _ = left.pop(place)
        drawn.append(index)
        ranked += weights[index][0] not in barred
    return tuple(drawn)


def ranking_of(
    drawn: Sequence[int], weights: Weights, barred: Container[NodeId]
) -> tuple[NodeId, ...]:
    """Return who of the drawn holds a rank, best first."""
    return tuple(weights[index][0] for index in drawn if weights[index][0] not in barred)


def prove_draw(
    beacon: Digest, height: Height, weights: Weights, barred: Container[NodeId]
) -> DrawProof:
    """Show the interval of every miner that a height's draw hit."""
    drawn = draw_miners(beacon, height, weights, barred)
    proofs = tuple(prove_weight(weights, index) for index in drawn)
    return DrawProof(proofs, len(ranking_of(drawn, weights, barred)))


def prove_ranking(certificate: Certificate, weights: Weights) -> DrawProof:
    """Show the draws behind a certificate; who was drawn and is not ranked had lost its rank."""
    barred = frozenset(node for node, _ in weights) - frozenset(certificate.ranking)
    return prove_draw(certificate.beacon, certificate.height, weights, barred)


def verify_draw(certificate: Certificate, proof: DrawProof) -> None:
    """
    Redo a certificate's draw from intervals under its weights root, or raise PeerError.

    The quorum's seal answers for who lost a rank: a drawn miner outside the ranking is accepted,
    one of the ranking that was not drawn, or another order, is not.
    """
    total = certificate.total_weight
    taken: list[Interval] = []
    for number, each in enumerate(proof.draws):
        interval = verify_weight(certificate.weights_root, total, each)
        left = total - sum(earlier.weight for earlier in taken)
        if left <= 0:
            raise PeerError(RejectionReason.BAD_PROOF, "draw from nothing")
        point = ticket(certificate.beacon, certificate.height, number, left)
        # Without replacement: the point counts what is left, so step over what was taken before it.
        for earlier in sorted(taken, key=lambda span: span.start):
            if earlier.start <= point:
                point += earlier.weight
        if not interval.start <= point < interval.start + interval.weight:
            raise PeerError(RejectionReason.BAD_PROOF, f"draw {number} hit another interval")
        taken.append(interval)
    hit = [each.miner for each in proof.draws]
    ranked = tuple(miner for miner in hit if miner in certificate.ranking)
    if ranked != certificate.ranking or proof.ranked != len(ranked):
        raise PeerError(RejectionReason.BAD_PROOF, "ranking is not what was drawn")
    if len(ranked) == AUTHORS_RANKED and hit[-1] != ranked[-1]:
        raise PeerError(RejectionReason.BAD_PROOF, "draws beyond the last rank")
    if not ranked and total > 0 and not hit:
        raise PeerError(RejectionReason.BAD_PROOF, "weights but no draw")


def _place_of(left: Sequence[tuple[int, int]], point: int) -> int:
    for place, (_, weight) in enumerate(left):
        if point < weight:
            return place
        point -= weight
    raise AssertionError("ticket beyond the total")
