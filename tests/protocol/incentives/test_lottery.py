"""The draw of authors: fair by weight, redone from proofs alone, and not to be forged."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import Amount, ChainId, Cycle, Height, NodeId
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
