"""Bugs in rounds: results that are copied, draws that can be drawn again, leases for the asking."""

from typing import Final

from tests.mutants.planting import Edit, Mutant

LEDGER: Final = "protocol/ledger/"
TESTS: Final = "tests/protocol/ledger/"


def _mutant(name: str, tests: str, path: str, before: str, after: str) -> Mutant:
    return Mutant(name, "ledger", tests, (Edit(path, before, after),))


ROUNDS: Final = (
    _mutant(
        "result shown while others commit",
        TESTS + "test_results.py",
        LEDGER + "results.py",
        'require(record.revealing, RejectionReason.TOO_EARLY, "validators are still committing")',
        'require(True, RejectionReason.TOO_EARLY, "validators are still committing")',
    ),
    _mutant(
        "result committed to while others show",
        TESTS + "test_results.py",
        LEDGER + "results.py",
        'require(not record.revealing, RejectionReason.TOO_LATE, "results are being shown")',
        'require(True, RejectionReason.TOO_LATE, "results are being shown")',
    ),
    _mutant(
        "pay for a result that nobody committed to",
        TESTS + "test_results.py",
        LEDGER + "results.py",
        "timely=bond in record.commitments,",
        "timely=bool(record.commitments),",
    ),
    _mutant(
        "quorum of roots whatever the screens",
        TESTS + "test_results.py",
        LEDGER + "results.py",
        "votes = Counter((each.root, each.flagged, each.dropped) for each in record.results)",
        'votes = Counter((each.root, b"", b"") for each in record.results)',
    ),
    _mutant(
        "share of what was dropped",
        TESTS + "test_results.py",
        LEDGER + "rounds.py",
        "if lease.status is not LeaseStatus.MISSED and shard not in record.dropped",
        "if lease.status is not LeaseStatus.MISSED",
    ),
    _mutant(
        "leases over offers that knew the beacon",
        TESTS + "test_leasing.py",
        LEDGER + "miners.py",
        "and miner.changed < drawable",
        "and miner.changed < context.height",
    ),
    _mutant(
        "zeros count as a reveal",
        TESTS + "test_leasing.py",
        LEDGER + "epochs.py",
        "revealed=seat.revealed if frame.reveal == NO_REVEAL else height,",
        "revealed=height,",
    ),
    _mutant(
        "newcomers take what bonded miners want",
        "tests/protocol/scheduling/test_assignment.py",
        "protocol/scheduling/assignment.py",
        "room = max((shards + luck) // NEWCOMERS_SHARE, unwanted)",
        "room = shards",
    ),
    _mutant(
        "registration said again for nothing",
        TESTS + "test_miners.py",
        LEDGER + "miners.py",
        "is_of_now(action.stamp, state.chain().cycle),",
        "True,",
    ),
    _mutant(
        "miner with leases put out",
        TESTS + "test_newcomers.py",
        LEDGER + "miners.py",
        "if not miner.rounds_open and _is_past(miner, context)",
        "if True",
    ),
    _mutant(
        "draw again by leaving a result out",
        TESTS + "test_draws.py",
        LEDGER + "audits.py",
        "lease, beacons = state.lease(*place), state.round(place[0], place[1]).draw_beacons",
        "lease, beacons = state.lease(*place), (state.chain().beacon,)",
    ),
    _mutant(
        "task keeps its place without a miner",
        TESTS + "test_leasing.py",
        LEDGER + "leasing.py",
        "elif context.height >= task.waiting + context.genesis.training.miner_deadline:",
        "elif False:",
    ),
    _mutant(
        "holder of a lease has until it is beaten",
        TESTS + "test_stand_ins.py",
        LEDGER + "stand_ins.py",
        "return not waits or context.height >= record.started + deadline * 3 // 4",
        "return True",
    ),
    _mutant(
        "later claim before the first",
        TESTS + "test_stand_ins.py",
        LEDGER + "round_sets.py",
        "key=lambda entry: (entry.claim.height, entry.place)",
        "key=lambda entry: (entry.place, entry.claim.height)",
    ),
    _mutant(
        "claims that nobody could fetch cost nothing",
        TESTS + "test_fines.py",
        LEDGER + "round_sets.py",
        "if not any(each.attested for each in entries):",
        "if True:",
    ),
    _mutant(
        "fines where no judge looked",
        TESTS + "test_fines.py",
        LEDGER + "round_sets.py",
        "if not any(each.attested for each in entries):",
        "if False:",
    ),
    _mutant(
        "fine for who is beaten and served",
        TESTS + "test_stand_ins.py",
        LEDGER + "round_sets.py",
        "        if not each.attested:\n",
        "        if True:\n",
    ),
    _mutant(
        "fines that buy weight",
        TESTS + "test_fines.py",
        LEDGER + "fines.py",
        "burn(state, taken, by_task=False)",
        "burn(state, taken, by_task=True)",
    ),
    _mutant(
        "half a fine",
        TESTS + "test_fines.py",
        LEDGER + "fines.py",
        "return price.miner * money.unserved_fine // PPM",
        "return price.miner * money.unserved_fine // PPM // 2",
    ),
    _mutant(
        "a tip for every claim",
        TESTS + "test_claim_tips.py",
        LEDGER + "contributions.py",
        "if is_first else Amount(0)",
        "if is_first or True else Amount(0)",
    ),
    _mutant(
        "tips that nobody pays",
        TESTS + "test_claim_tips.py",
        LEDGER + "contributions.py",
        "    spend(state, task_id, tip)\n",
        "",
    ),
)
