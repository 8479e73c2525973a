"""Bugs planted in whole nodes do not survive the simulator: each is named by its verdict."""

import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
import trio

from potp2p.foundation import committee
from potp2p.foundation.types import Digest
from potp2p.protocol.wire.blocks import Block
from potp2p.services.consensus_memory import ReplicaMemory
from potp2p.services.replica_chain import ReplicaChain
from potp2p.simulation.plans import Choices, Fault, Lie, Plan, draw_plan
from potp2p.simulation.run import run_plan
from potp2p.simulation.stores import MemoryNotebook

SEEDS_MAX = 30
"""Most seeds that a planted bug may survive; each was found among the first twenty."""


def verdicts(plan_of: Callable[[int], Plan], *, seeds: int = SEEDS_MAX) -> str:
    """Return what is said of the first seed that is not sound."""
    for seed in range(seeds):
        report = run_plan(plan_of(seed))
        if report.violations:
            return " | ".join(report.violations)
    return "sound"


def crashing(seed: int) -> Plan:
    return draw_plan(seed, Choices(heights=8), always=(Fault.CRASHES, Fault.POWER))


def test_votes_that_leave_before_they_are_durable_are_double_votes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def forget(_memory: ReplicaMemory) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(ReplicaMemory, "sync", forget)
    assert "double vote: " in verdicts(crashing)


def test_bodies_that_leave_before_they_are_durable_are_double_bodies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def forget(_notebook: MemoryNotebook, _name: bytes, _note: bytes) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(MemoryNotebook, "put", forget)
    assert "double body: " in verdicts(crashing)


def test_quorum_of_a_third_is_a_seal_of_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = committee.quorum
    for module in list(sys.modules.values()):
        if getattr(module, "quorum", None) is honest:
            monkeypatch.setattr(module, "quorum", committee.weak_quorum)
    assert "2 of 4 signed" in verdicts(lambda seed: draw_plan(seed, Choices(heights=3)))


def test_vote_for_a_state_that_was_not_reproduced_stops_the_nodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def believe(
        _chain: ReplicaChain, _block: Block, _hash: Digest, *, first_proposal: bool
    ) -> bool:
        del first_proposal
        await trio.lowlevel.checkpoint()
        return True

    def with_bad_blocks(seed: int) -> Plan:
        plan = draw_plan(seed, Choices(heights=8, faults=(Fault.LIARS,)), always=(Fault.LIARS,))
        return replace(plan, liars=tuple((name, Lie.BAD_BLOCK) for name, _ in plan.liars))

    assert verdicts(with_bad_blocks, seeds=1) == "sound"
    monkeypatch.setattr(ReplicaChain, "check", believe)
    assert "fails here" in verdicts(with_bad_blocks)
