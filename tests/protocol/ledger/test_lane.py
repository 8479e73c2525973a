"""By when a free statement must stand: read from the state, whatever phase its subject is in."""

from potp2p.foundation.types import BlobId, Cycle, Epoch, MicroNats, Round, ShardIndex, TaskId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.ledger.duties import miner_duties
from potp2p.protocol.ledger.lane import NO_DEADLINE, deadline_of, without_trace
from potp2p.protocol.ledger.records import RoundPhase
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.transactions import (
    Anchor,
    Attest,
    AttestPackage,
    AuditCommit,
    Challenge,
    Free,
    Ready,
    ResultCommit,
    RevealTrace,
    RoundResult,
)
from tests.doubles.ledger_world import RULES, SALT, LedgerWorld, build_world, trace_of, with_audits

ROUND = Round(0)


def by_when(world: LedgerWorld, action: Free) -> int:
    return deadline_of(world.state, world.genesis, action)


def result(task: TaskId) -> RoundResult:
    return RoundResult(task, ROUND, SALT, BlobId(sha256(b"root")), MicroNats(1), b"", b"")


def test_claims_attestations_and_results_end_as_the_rules_of_the_task_say() -> None:
    world = build_world()
    world.run(3)
    task = world.submit()
    rules = RULES.rounds
    world.run_until(lambda: bool(world.task(task).open_rounds))
    start = world.state.round(task, ROUND).started
    claim = world.contribution(
        world.miners[0], miner_duties(world.state, world.miners[0].node_id).leases[0]
    )
    assert by_when(world, claim) == start + rules.deadline
    attest = Attest(task, ROUND, b"\x01")
    assert by_when(world, attest) == start + rules.deadline + rules.attest_window

    def in_phase(phase: RoundPhase) -> bool:
        return world.state.round(task, ROUND).phase is phase

    world.run_until(lambda: in_phase(RoundPhase.ATTESTING))
    ended = world.state.round(task, ROUND).phase_started
    assert ended < start + rules.deadline, "everything was claimed before the deadline"
    assert by_when(world, attest) == ended + rules.attest_window
    world.run_until(lambda: in_phase(RoundPhase.RESULT))
    fixed = world.state.round(task, ROUND).phase_started
    commit = ResultCommit(task, ROUND, sha256(b"commitment"))
    assert by_when(world, commit) == fixed + rules.result_deadline // 2
    assert by_when(world, result(task)) == fixed + rules.result_deadline


def test_audits_and_challenges_end_with_the_phase_they_are_for() -> None:
    world = build_world(change=with_audits(1_000_000))
    world.run(3)
    task = world.submit()
    world.run_until(
        lambda: any(world.state.round(task, r).audits for r in world.task(task).open_rounds)
    )
    round_ = next(r for r in world.task(task).open_rounds if world.state.round(task, r).audits)
    shard = world.state.round(task, round_).audits[0]
    audit = world.state.audit(task, round_, shard)
    opening = RevealTrace(task, round_, shard, SALT, trace_of(task, round_, shard))
    assert by_when(world, opening) == audit.deadline
    assert without_trace(opening) == AuditCommit(task, round_, shard, NO_DIGEST)
    assert by_when(world, without_trace(opening)) == audit.deadline
    disputed = Challenge(task, round_, shard, expects_fail=True)
    assert by_when(world, disputed) == NO_DEADLINE, "no ruling stands yet"


def test_what_is_said_once_per_cycle_or_epoch_ends_with_it() -> None:
    world = build_world()
    consensus = world.genesis.consensus
    assert by_when(world, Ready(Cycle(2))) == 3 * consensus.cycle_blocks
    blocks = consensus.cycle_blocks * consensus.epoch_cycles
    assert by_when(world, Anchor(Epoch(2), sha256(b"anchor"))) == 2 * blocks


def test_what_is_about_nothing_waits_behind_everything_else() -> None:
    world = build_world()
    nothing = TaskId(sha256(b"no such task"))
    for action in (
        AttestPackage(nothing, fits=True),
        AuditCommit(nothing, ROUND, ShardIndex(0), NO_DIGEST),
        result(nothing),
        world.registration(world.miners[0]),
    ):
        assert by_when(world, action) == NO_DEADLINE
