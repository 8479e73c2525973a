"""Claims and attestations: who may say them, when, once, and about what."""

from dataclasses import replace

import pytest

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import BlobId, Round, ShardIndex, TaskId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.contributions import bitmap_of, bits_of
from potp2p.protocol.ledger.duties import LeaseDuty, miner_duties, validator_duties
from potp2p.protocol.ledger.records import LeaseStatus, RoundPhase
from potp2p.protocol.wire.transactions import Attest, Contribute, RoundResult
from tests.doubles.ledger_world import RULES, LedgerWorld, build_world

LEASES = RULES.rounds.shards_per_round


@pytest.fixture
def world() -> LedgerWorld:
    """Return a network whose round 0 has just been leased, with nobody claiming."""
    world = build_world()
    world.run(2)
    world.silent = lambda _node, action: isinstance(action, Contribute)
    task = world.submit()
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    return world


def task_of(world: LedgerWorld) -> TaskId:
    return world.state.chain().tasks[0]


def lease_of(world: LedgerWorld, keys: KeyPair) -> LeaseDuty:
    return miner_duties(world.state, keys.node_id).leases[0]


def until_phase(world: LedgerWorld, phase: RoundPhase) -> None:
    world.run_until(lambda: world.state.round(task_of(world), Round(0)).phase is phase)


def until_attesting(world: LedgerWorld) -> None:
    world.silent = lambda _node, action: isinstance(action, Attest)
    until_phase(world, RoundPhase.ATTESTING)


def until_result(world: LedgerWorld) -> None:
    world.silent = lambda _node, action: isinstance(action, RoundResult)
    until_phase(world, RoundPhase.RESULT)


def test_every_lease_is_one_miners_and_every_miner_has_some(world: LedgerWorld) -> None:
    leases = [miner_duties(world.state, each.node_id).leases for each in world.miners]
    shards = [lease.shard for each in leases for lease in each]
    assert sorted(shards) == list(range(LEASES))
    assert all(leases)


def test_claim_is_the_leaseholders_and_the_first_one_stands(world: LedgerWorld) -> None:
    rig, thief = world.miners[0], world.miners[1]
    duty = lease_of(world, rig)
    claim = world.contribution(rig, duty)
    assert world.refusal(world.free(thief, claim)) is RejectionReason.WRONG_SENDER
    assert world.refusal(world.free(world.client, claim)) is RejectionReason.WRONG_SENDER

    world.block(world.free(rig, claim))
    other = replace(claim, payload=BlobId(sha256(b"better")))
    assert world.refusal(world.free(rig, claim)) is RejectionReason.DUPLICATE
    assert world.refusal(world.free(rig, other)) is RejectionReason.DUPLICATE
    stored = world.state.lease(duty.task, duty.round, duty.shard).claim
    assert stored is not None
    assert stored.payload == claim.payload


def test_claim_names_a_real_lease_and_the_tasks_number_of_samples(world: LedgerWorld) -> None:
    rig = world.miners[0]
    claim = world.contribution(rig, lease_of(world, rig))
    for change, reason in (
        ({"samples": claim.samples + 1}, RejectionReason.OUT_OF_BOUNDS),
        ({"round": Round(1)}, RejectionReason.TOO_EARLY),
        ({"shard": ShardIndex(LEASES)}, RejectionReason.NOT_FOUND),
        ({"task": TaskId(sha256(b"no task"))}, RejectionReason.NOT_FOUND),
    ):
        assert world.refusal(world.free(rig, replace(claim, **change))) is reason


def test_claim_counts_up_to_the_deadline_and_not_a_block_longer(world: LedgerWorld) -> None:
    rig = world.miners[0]
    claim = world.free(rig, world.contribution(rig, lease_of(world, rig)))
    record = world.state.round(task_of(world), Round(0))
    last = record.started + RULES.rounds.deadline
    world.silent = lambda _node, action: isinstance(action, Contribute | Attest)
    world.run(last - 1 - world.height)
    assert world.height == last - 1
    assert world.refusal(claim) is None, "the block at the deadline still takes it"
    world.run(1)
    assert world.refusal(claim) is not None


def test_claim_of_a_round_that_is_over_is_late(world: LedgerWorld) -> None:
    rig = world.miners[0]
    claim = world.free(rig, world.contribution(rig, lease_of(world, rig)))
    world.silent = lambda _node, _action: False
    world.run_until(lambda: world.task(task_of(world)).round == 1)
    assert world.refusal(claim) is RejectionReason.TOO_LATE


def test_attestations_come_from_seats_after_claims_and_only_add(world: LedgerWorld) -> None:
    task, seat = task_of(world), world.validators[0]

    def attest(*places: int, keys: KeyPair = seat) -> bytes:
        return world.free(keys, Attest(task, Round(0), bitmap_of(places)))

    assert world.refusal(attest(0)) is RejectionReason.TOO_EARLY
    until_attesting(world)
    assert world.refusal(attest(0, keys=world.miners[0])) is RejectionReason.WRONG_SENDER
    assert world.refusal(attest(LEASES)) is RejectionReason.OUT_OF_BOUNDS
    world.block(attest(0, 1))
    for places in ((0, 1), (0,), (1, 2), ()):
        assert world.refusal(attest(*places)) is RejectionReason.DUPLICATE
    assert world.refusal(attest(0, 1, 2)) is None
    until_result(world)
    assert world.refusal(attest(0, 1, 2, 3)) is RejectionReason.TOO_LATE


def test_lease_without_a_claim_cannot_be_attested(world: LedgerWorld) -> None:
    rig = world.miners[0]
    duty = lease_of(world, rig)
    world.silent = lambda node, action: (
        isinstance(action, Attest) or (node != rig.node_id and isinstance(action, Contribute))
    )
    until_phase(world, RoundPhase.ATTESTING)
    free = next(
        place
        for place, row in enumerate(world.state.round(duty.task, Round(0)).leases)
        if row.miner != rig.node_id
    )
    word = Attest(duty.task, Round(0), bitmap_of((free,)))
    assert world.refusal(world.free(world.validators[0], word)) is RejectionReason.NOT_FOUND


def test_f_attestations_are_not_enough_and_f_plus_one_are(world: LedgerWorld) -> None:
    until_attesting(world)
    task = task_of(world)
    everything, first = bitmap_of(tuple(range(LEASES))), bitmap_of((0,))
    world.block(
        world.free(world.validators[0], Attest(task, Round(0), everything)),
        world.free(world.validators[1], Attest(task, Round(0), first)),
    )
    world.silent = lambda _node, action: isinstance(action, Attest | RoundResult)
    until_phase(world, RoundPhase.RESULT)
    statuses = [
        world.state.lease(task, Round(0), ShardIndex(shard)).status for shard in range(LEASES)
    ]
    assert statuses == [LeaseStatus.ACCEPTED, *[LeaseStatus.MISSED] * (LEASES - 1)]
    assert world.task(task).passes == (1, 0, 0, 0, 0, 0)


def test_set_is_fixed_at_once_when_every_claim_is_attested(world: LedgerWorld) -> None:
    until_attesting(world)
    task, started = task_of(world), world.height
    everything = bitmap_of(tuple(range(LEASES)))
    world.block(
        *(world.free(each, Attest(task, Round(0), everything)) for each in world.validators[:2])
    )
    assert world.state.round(task, Round(0)).fixed == started + 1


def test_duties_end_when_they_are_done(world: LedgerWorld) -> None:
    world.silent = lambda _node, _action: False
    until_result(world)
    seat = world.validators[0]
    assert validator_duties(world.state, seat.node_id, world.genesis).attests == ()
    assert validator_duties(world.state, world.miners[0].node_id, world.genesis).anchor is None


@pytest.mark.parametrize("places", [(), (0,), (7,), (8,), (0, 3, 11)])
def test_bitmap_has_one_spelling(places: tuple[int, ...]) -> None:
    assert bits_of(bitmap_of(places), 12) == places


@pytest.mark.parametrize("spelling", [b"\x00", b"\x01\x00", b"\x00\x10", b"\x01\x00\x00"])
def test_other_spellings_of_a_bitmap_are_refused(spelling: bytes) -> None:
    with pytest.raises(PeerError):
        bits_of(spelling, 12)
