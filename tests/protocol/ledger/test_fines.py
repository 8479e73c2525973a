"""A claim whose payload nobody can have costs its miner money, once, and nobody gains by it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from potp2p.foundation.types import POT, Amount, NodeId, PartsPerMillion, Round, TaskId
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.conservation import check_supply
from potp2p.protocol.ledger.contributions import bitmap_of
from potp2p.protocol.ledger.receipt_records import Receipt, ReceiptKind
from potp2p.protocol.ledger.records import LeaseStatus, RoundPhase
from potp2p.protocol.ledger.round_records import Fine
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.transactions import Attest, Contribute, Free
from tests.doubles.ledger_world import RULES, LedgerWorld, build_world, with_audits

ONE_ROUND = replace(RULES, rounds=replace(RULES.rounds, rounds=1))
RARELY = with_audits(1)
LEASES = RULES.rounds.shards_per_round
BUDGET = Amount(LEASES * POT)
PAY = POT * 735 // 1_000
"""Of a lease at one POT: three quarters are the miner's, less the tip of its claim."""
FINE = Amount(PAY * 30 // 100)
TIPS = LEASES * POT * 15 // 1_000


def until_attesting(world: LedgerWorld, budget: Amount = BUDGET) -> TaskId:
    """Run a round until all have claimed; nobody attests anything by itself from now on."""
    world.silent = lambda _node, action: isinstance(action, Attest)
    task = world.submit(ONE_ROUND, budget)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).phase is RoundPhase.ATTESTING)
    return task


def fix(world: LedgerWorld, task: TaskId, *said: tuple[int, ...]) -> None:
    """Have the first seats attest so many places each, in one block, and wait for the set."""
    world.block(
        *(
            world.free(seat, Attest(task, Round(0), bitmap_of(places)))
            for seat, places in zip(world.validators, said, strict=False)
            if places
        )
    )
    world.run_until(lambda: world.state.round(task, Round(0)).fixed > 0)


def served(world: LedgerWorld, task: TaskId, hidden: NodeId) -> tuple[int, ...]:
    """Return the places of all claims but for one miner's."""
    rows = world.state.round(task, Round(0)).leases
    return tuple(place for place, row in enumerate(rows) if row.miner != hidden)


def keep_back(world: LedgerWorld, hidden: NodeId, budget: Amount = BUDGET) -> TaskId:
    """Run a round up to its set; nobody attests the claims of one miner."""
    task = until_attesting(world, budget)
    places = served(world, task, hidden)
    fix(world, task, places, places, places, places)
    return task


def settle(world: LedgerWorld, task: TaskId) -> list[Receipt]:
    world.silent = lambda _node, _action: False
    world.run_until(lambda: world.task(task).escrow == 0)
    return [each for each in world.receipts if each.task == task]


def fines_of(world: LedgerWorld, task: TaskId) -> list[Fine]:
    record = world.state.round(task, Round(0))
    leases = [world.state.lease(task, Round(0), row.shard) for row in record.leases]
    return [fine for lease in leases for fine in lease.fines]


def bonds(world: LedgerWorld) -> dict[NodeId, int]:
    return {each.node_id: world.account(each).bond for each in world.miners}


def ready(change: Callable[[Genesis], Genesis] = RARELY) -> LedgerWorld:
    world = build_world(change=change)
    world.run(6)
    return world


def first_rig(world: LedgerWorld) -> KeyPair:
    return world.miners[0]


def test_each_claim_that_is_not_attested_is_fined_and_burned_whole() -> None:
    world = ready()
    rig = first_rig(world)
    before, burned = bonds(world), world.state.chain().burned
    cycle = world.state.chain().burned_in_cycle
    task = keep_back(world, rig.node_id)
    fines = fines_of(world, task)
    assert fines
    assert {(each.miner, each.amount) for each in fines} == {(rig.node_id, FINE)}
    taken = FINE * len(fines)
    assert world.account(rig).bond == before[rig.node_id] - taken
    assert {k: v for k, v in bonds(world).items() if k != rig.node_id} == {
        k: v for k, v in before.items() if k != rig.node_id
    }
    assert world.state.chain().burned == burned + taken
    assert world.state.chain().burned_in_cycle == cycle, "a fine buys nobody weight"
    assert world.task(task).escrow == BUDGET - TIPS, "and no client a discount"
    assert not world.miner(rig).live
    receipts = settle(world, task)
    mine = [each for each in receipts if each.miner == rig.node_id]
    assert {each.kind for each in mine} == {ReceiptKind.MISSED}
    assert all(each.fines == (Fine(rig.node_id, FINE),) for each in mine)
    assert all(each.fines == () for each in receipts if each.miner != rig.node_id)
    assert world.account(rig).bond == before[rig.node_id] - taken, "exactly once"
    expected, found = check_supply(world.store.records.items())
    assert expected == found


@pytest.mark.parametrize(("attesters", "fined"), [(1, True), (2, False)], ids=["f", "f + 1"])
def test_fine_goes_by_the_same_quorum_as_the_set(attesters: int, fined: bool) -> None:
    world = ready()
    rig = first_rig(world)
    before = bonds(world)
    task = until_attesting(world)
    others, every = served(world, task, rig.node_id), tuple(range(LEASES))
    fix(world, task, *(every if seat < attesters else others for seat in range(4)))
    assert bool(fines_of(world, task)) is fined
    assert (bonds(world)[rig.node_id] < before[rig.node_id]) is fined


def test_nobody_is_fined_where_the_judges_attested_nothing_at_all() -> None:
    world = ready()
    before = bonds(world)
    task = until_attesting(world)
    fix(world, task, tuple(range(LEASES)))
    rows = world.state.round(task, Round(0)).leases
    statuses = {world.state.lease(task, Round(0), row.shard).status for row in rows}
    assert statuses == {LeaseStatus.MISSED}, "f of them are not enough"
    assert fines_of(world, task) == []
    assert bonds(world) == before


def test_lease_without_a_claim_costs_no_fine() -> None:
    world = ready()
    rig = first_rig(world)
    before = bonds(world)

    def silent(node: NodeId, action: Free) -> bool:
        return node == rig.node_id and isinstance(action, Contribute)

    world.silent = silent
    task = world.submit(ONE_ROUND, BUDGET)
    world.run_until(lambda: 0 in world.task(task).open_rounds)
    world.run_until(lambda: world.state.round(task, Round(0)).fixed > 0)
    assert world.miner(rig).missed > 0
    assert fines_of(world, task) == []
    assert bonds(world) == before


@pytest.mark.parametrize("left", [0, 1, FINE + 1])
def test_fine_takes_what_is_there_and_nothing_else(left: int) -> None:
    world = ready()
    rig = first_rig(world)
    state = world.state
    record = state.account(rig.account)
    state.put_account(
        rig.account,
        replace(record, bond=Amount(left), balance=Amount(record.balance + record.bond - left)),
    )
    world.rewrite(state)
    balance = world.account(rig).balance
    fines = fines_of(world, keep_back(world, rig.node_id))
    assert fines, "a newcomer has a lease where the bonded leave room"
    assert sum(each.amount for each in fines) == min(left, FINE * len(fines))
    assert world.account(rig).bond == max(0, left - FINE * len(fines))
    assert world.account(rig).balance == balance


def test_fined_miner_is_a_newcomer_until_pay_has_filled_its_bond() -> None:
    world = ready()
    rig = first_rig(world)
    least = world.genesis.money.miner_bond
    task = keep_back(world, rig.node_id)
    assert world.account(rig).bond < least
    settle(world, task)
    again = world.submit(replace(RULES, rounds=replace(RULES.rounds, rounds=3)), Amount(18 * POT))
    world.run_until(lambda: world.task(again).escrow == 0, blocks=400)
    mine = [each for each in world.receipts if each.task == again and each.miner == rig.node_id]
    kept = sum(each.bonded for each in mine)
    assert mine, "it was leased to again"
    assert kept > 0
    assert world.account(rig).bond == least
    assert sum(each.paid for each in mine) > kept, "what comes after it is paid out"


@pytest.mark.parametrize("times", [1, 2])
def test_fine_is_a_part_of_what_this_very_lease_would_have_paid(times: int) -> None:
    world = ready()
    rig = first_rig(world)
    task = keep_back(world, rig.node_id, Amount(times * BUDGET))
    assert {each.amount for each in fines_of(world, task)} == {times * FINE}


def test_the_part_is_the_networks_own() -> None:
    def change(genesis: Genesis) -> Genesis:
        whole = PartsPerMillion(1_000_000)
        return replace(genesis, money=replace(genesis.money, unserved_fine=whole))

    world = ready(change)
    task = keep_back(world, first_rig(world).node_id)
    assert {each.amount for each in fines_of(world, task)} == {PAY}
