"""The draw of authors: fair by weight, redone from proofs alone, and not to be forged."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import Amount, ChainId, Cycle, Height, NodeId
from potp2p.protocol.crypto.beacon import next_beacon
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.incentives.lottery import (
    draw_miners,
    prove_draw,
    ranking_of,
    verify_draw,
)
from potp2p.protocol.incentives.weights import (
    prove_weight,
    total_weight,
    verify_weight,
    weights_root,
)
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.certificates import Certificate, DrawProof
from potp2p.protocol.wire.schema import decode, encode

BEACON = sha256(b"beacon")
NOBODY: frozenset[NodeId] = frozenset()


def node(number: int) -> NodeId:
    return NodeId(b"\x02" + sha256(b"%d" % number))


def weights_from(amounts: list[int]) -> list[tuple[NodeId, int]]:
    return sorted((node(number), amount) for number, amount in enumerate(amounts))


def certificate_of(
    weights: list[tuple[NodeId, int]], height: int, barred: frozenset[NodeId] = NOBODY
) -> Certificate:
    drawn = draw_miners(BEACON, Height(height), weights, barred)
    return Certificate(
        chain_id=ChainId(sha256(b"chain")),
        cycle=Cycle(3),
        height=Height(height),
        ranking=ranking_of(drawn, weights, barred),
        weights_root=weights_root(weights),
        total_weight=total_weight(weights),
        beacon=BEACON,
    )


def refused(certificate: Certificate, proof: DrawProof) -> bool:
    try:
        verify_draw(certificate, proof)
    except PeerError:
        return True
    return False


amounts = st.lists(st.integers(1, 1 << 40), min_size=1, max_size=12)


@given(amounts, st.integers(1, 1 << 30), st.sets(st.integers(0, 11)))
def test_every_draw_is_verified_from_its_proof_alone(
    given_amounts: list[int], height: int, barred_numbers: set[int]
) -> None:
    weights = weights_from(given_amounts)
    barred = frozenset(map(node, barred_numbers))
    certificate = certificate_of(weights, height, barred)
    proof = prove_draw(BEACON, Height(height), weights, barred)
    verify_draw(certificate, decode(DrawProof, encode(proof)))
    allowed = [miner for miner, _ in weights if miner not in barred]
    assert len(certificate.ranking) == min(3, len(allowed))
    assert len(set(certificate.ranking)) == len(certificate.ranking)


def test_draw_is_fair_by_weight() -> None:
    weights = weights_from([1, 2, 7])
    first = Counter(
        weights[draw_miners(BEACON, Height(height), weights, NOBODY)[0]][1]
        for height in range(3_000)
    )
    assert 220 < first[1] < 380
    assert 500 < first[2] < 700
    assert 1_950 < first[7] < 2_250


def test_no_weight_is_never_drawn_and_nobody_is_drawn_from_nothing() -> None:
    weights = weights_from([0, 5, 0])
    for height in range(50):
        drawn = draw_miners(BEACON, Height(height), weights, NOBODY)
        assert [weights[index][1] for index in drawn] == [5]
    assert draw_miners(BEACON, Height(1), weights_from([0, 0]), NOBODY) == ()
    assert draw_miners(BEACON, Height(1), [], NOBODY) == ()
    verify_draw(certificate_of([], 1), DrawProof((), 0))


def test_draw_depends_on_beacon_and_height() -> None:
    weights = weights_from([5] * 12)
    draws = {draw_miners(BEACON, Height(height), weights, NOBODY) for height in range(20)}
    assert len(draws) > 15
    heights = range(20)
    assert draws != {draw_miners(sha256(BEACON), Height(each), weights, NOBODY) for each in heights}


def test_forged_draws_are_refused() -> None:
    weights = weights_from([5, 1, 9, 4, 4])
    certificate = certificate_of(weights, 7)
    proof = prove_draw(BEACON, Height(7), weights, NOBODY)
    first, second, third = certificate.ranking
    stranger = next(miner for miner, _ in weights if miner not in certificate.ranking)
    for forged in (
        replace(certificate, ranking=(second, first, third)),
        replace(certificate, ranking=(stranger, second, third)),
        replace(certificate, ranking=(first, second)),
        replace(certificate, ranking=()),
        replace(certificate, height=Height(8)),
        replace(certificate, beacon=sha256(BEACON)),
        replace(certificate, total_weight=Amount(certificate.total_weight + 1)),
        replace(certificate, weights_root=NO_DIGEST),
    ):
        assert refused(forged, proof)
    for wrong in (
        DrawProof((), 0),
        replace(proof, draws=proof.draws[:-1]),
        replace(proof, draws=proof.draws[::-1]),
        replace(proof, draws=(proof.draws[0], *proof.draws)),
        replace(proof, ranked=2),
    ):
        assert refused(certificate, wrong)


def test_proof_cannot_stretch_or_move_an_interval() -> None:
    weights = weights_from([5, 1, 9, 4, 4])
    root, total = weights_root(weights), total_weight(weights)
    start = 0
    for index, (miner, weight) in enumerate(weights):
        proof = prove_weight(weights, index)
        interval = verify_weight(root, total, proof)
        assert (interval.miner, interval.start, interval.weight) == (miner, start, weight)
        start += weight
        with pytest.raises(PeerError, match="bad_proof"):
            verify_weight(root, total + 1, proof)
        step = proof.steps[0]
        for forged in (
            replace(proof, weight=Amount(weight + 1)),
            replace(proof, miner=node(99)),
            replace(proof, steps=proof.steps[1:]),
            replace(proof, steps=(replace(step, on_left=not step.on_left), *proof.steps[1:])),
            replace(proof, steps=(replace(step, sum=Amount(step.sum + 1)), *proof.steps[1:])),
            replace(
                proof,
                weight=Amount(weight + 1),
                steps=(replace(step, sum=Amount(step.sum - 1)), *proof.steps[1:]),
            ),
        ):
            with pytest.raises(PeerError, match="bad_proof"):
                verify_weight(root, total, forged)


def test_sums_beyond_eight_bytes_are_refused_and_no_crash() -> None:
    weights = weights_from([5, 6])
    proof = prove_weight(weights, 0)
    huge = replace(proof, weight=Amount((1 << 63) - 1))
    steps = (replace(proof.steps[0], sum=Amount((1 << 63) - 1)),) * 3
    with pytest.raises(PeerError):
        verify_weight(weights_root(weights), 11, replace(huge, steps=steps))


@given(amounts)
def test_root_commits_to_every_weight(given_amounts: list[int]) -> None:
    weights = weights_from(given_amounts)
    for index, (miner, weight) in enumerate(weights):
        changed = [*weights[:index], (miner, weight + 1), *weights[index + 1 :]]
        assert weights_root(changed) != weights_root(weights)


def chi_square(counts: Counter[NodeId], expected: dict[NodeId, Fraction], draws: int) -> float:
    assert set(counts) <= set(expected)
    return sum(
        float((counts[node] - chance * draws) ** 2 / (chance * draws))
        for node, chance in expected.items()
    )


def chances(weights: list[tuple[NodeId, int]], rank: int) -> dict[NodeId, Fraction]:
    """Return how probable each miner is at a rank, drawn by weight without replacement."""
    if rank == 0:
        total = sum(weight for _, weight in weights)
        return {node: Fraction(weight, total) for node, weight in weights if weight}
    sums: dict[NodeId, Fraction] = {}
    for first, chance in chances(weights, 0).items():
        rest = [(node, weight) for node, weight in weights if node != first]
        for node, later in chances(rest, rank - 1).items():
            sums[node] = sums.get(node, Fraction(0)) + chance * later
    return sums


CRITICAL = {3: 16.27, 4: 18.47, 5: 20.52}
"""Of chi square at one in a thousand, by degrees of freedom; the draws are the same every time."""


@pytest.mark.parametrize("rank", [0, 1, 2])
@pytest.mark.parametrize(
    "amounts", [[1, 2, 3, 4], [5] * 5, [1, 1, 1, 1, 996], [7, 0, 11, 13, 2, 9]]
)
def test_every_rank_follows_the_weights_without_replacement(amounts: list[int], rank: int) -> None:
    weights = weights_from(amounts)
    draws = 4_000
    counts = Counter(
        weights[draw_miners(BEACON, Height(height), weights, NOBODY)[rank]][0]
        for height in range(draws)
    )
    expected = chances(weights, rank)
    assert sum(expected.values()) == 1
    assert chi_square(counts, expected, draws) < CRITICAL[len(expected) - 1]


def test_wins_follow_the_weights_over_cycles_of_changing_weights() -> None:
    beacon, cycles, blocks = BEACON, 60, 50
    wins: Counter[NodeId] = Counter()
    expected: dict[NodeId, Fraction] = {}
    for cycle in range(cycles):
        weights = weights_from([1 + cycle % 7, 5, 40 - cycle % 11, 12, 3 * (cycle % 2) + 1])
        shares = chances(weights, 0)
        for block in range(blocks):
            beacon = next_beacon(beacon, sha256(b"%d %d" % (cycle, block)))
            height = Height(cycle * blocks + block + 1)
            wins[weights[draw_miners(beacon, height, weights, NOBODY)[0]][0]] += 1
        for node, share in shares.items():
            expected[node] = expected.get(node, Fraction(0)) + share / cycles
    assert chi_square(wins, expected, cycles * blocks) < CRITICAL[4]


def test_one_miner_alone_wins_every_height_and_holds_one_rank() -> None:
    weights = weights_from([1])
    for height in range(30):
        assert draw_miners(BEACON, Height(height), weights, NOBODY) == (0,)
    certificate = certificate_of(weights, 5)
    assert certificate.ranking == (weights[0][0],)
    verify_draw(certificate, prove_draw(BEACON, Height(5), weights, NOBODY))


def test_every_point_of_the_cumulative_weights_belongs_to_exactly_one_miner() -> None:
    amounts = [3, 1, 0, 4]
    weights = weights_from(amounts)
    root, total = weights_root(weights), total_weight(weights)
    spans = [verify_weight(root, total, prove_weight(weights, index)) for index in range(4)]
    owners = [
        sum(span.start <= point < span.start + span.weight for span in spans)
        for point in range(total)
    ]
    assert owners == [1] * total
    assert spans[0].start == 0
    assert spans[-1].start + spans[-1].weight == total


def test_draws_beyond_the_last_rank_are_refused() -> None:
    weights = weights_from([5, 1, 9, 4, 4])
    certificate = certificate_of(weights, 7)
    more = prove_draw(BEACON, Height(7), weights, frozenset({certificate.ranking[2]}))
    assert len(more.draws) > 3
    forged = replace(more, ranked=3)
    assert refused(certificate, forged)
