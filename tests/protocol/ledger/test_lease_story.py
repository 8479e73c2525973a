"""What stands about a lease, at every height of a round's life."""

from dataclasses import replace

from potp2p.foundation.limits import AMOUNT_BOUND, VALIDATORS_MAX
from potp2p.foundation.types import Amount, PartsPerMillion, ShardIndex
from potp2p.protocol.ledger.audit_records import Penalty
from potp2p.protocol.ledger.contributions import bitmap_of
from potp2p.protocol.ledger.lease_story import story_of
from potp2p.protocol.ledger.receipt_records import Receipt
from potp2p.protocol.ledger.records import Attestation, StandIn
from potp2p.protocol.ledger.state import State
from potp2p.protocol.wire.exchange import RECEIPT_BYTES_MAX
from potp2p.protocol.wire.schema import decode, encode
from tests.doubles.ledger_world import RULES, LedgerWorld, build_world
from tests.doubles.receipts import REJECTED


def tell_all(world: LedgerWorld, state: State) -> int:
    """Tell the story of every open lease; returns how many there were."""
    told = 0
    for task in (*state.chain().tasks, *state.chain().unsettled):
        for round_ in state.task(task).open_rounds:
            record = state.round(task, round_)
            for row in record.leases:
                place = (task, round_, row.shard)
                lease, audit = state.lease(*place), state.find_audit(*place)
                judges = len(world.validators)
                story = story_of(place, RULES, record, lease, audit, judges)
                assert (story.task, story.round, story.shard) == place
                assert 0 <= story.attested <= judges
                assert (story.audit is None) == (audit is None)
                told += 1
    return told


def test_a_story_can_be_told_at_every_height_of_a_task() -> None:
    world = build_world()
    world.run(2)
    task = world.submit(RULES)
    told = 0
    for _ in range(200):
        world.run(1)
        told += tell_all(world, world.state)
        if world.task(task).escrow == 0:
            break
    assert told > 6 * RULES.rounds.rounds
    assert world.task(task).escrow == 0


def test_attestations_of_stand_ins_are_not_counted_as_those_of_the_table() -> None:
    world = build_world()
    world.run(2)
    task = world.submit(RULES)
    world.run_until(lambda: bool(world.task(task).open_rounds))
    round_ = world.task(task).open_rounds[0]
    record = world.state.round(task, round_)
    first, beyond = 0, len(record.leases)
    node = world.validators[0].node_id
    with_stand_in = replace(
        record,
        stand_ins=(StandIn(ShardIndex(record.leases[0].shard), world.miners[0].node_id, None),),
        attestations=(Attestation(node, bitmap_of((first, beyond))),),
    )
    for row, count in ((record.leases[0], 1), (record.leases[1], 0)):
        lease = world.state.lease(task, round_, row.shard)
        story = story_of((task, round_, row.shard), RULES, with_stand_in, lease, None, 4)
        assert story.attested == count


def test_the_largest_receipt_fits_its_bound() -> None:
    assert REJECTED.audit is not None
    line = replace(
        REJECTED.audit.auditors[0],
        measured=PartsPerMillion((1 << 40) - 1),
        tolerance=PartsPerMillion((1 << 40) - 1),
        paid=Amount(AMOUNT_BOUND - 1),
    )
    node = line.auditor
    penalty = Penalty(Amount(1), Amount(1), (node,) * (3 * VALIDATORS_MAX + 1), Amount(1))
    audit = replace(
        REJECTED.audit,
        auditors=(line,) * (2 * VALIDATORS_MAX),
        judges=(line,) * VALIDATORS_MAX,
        penalty=penalty,
        liars=penalty,
    )
    encoded = encode(replace(REJECTED, audit=audit))
    assert len(encoded) <= RECEIPT_BYTES_MAX
    assert decode(Receipt, encoded).audit == audit
