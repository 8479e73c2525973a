"""A node's status tells of its own contributions and of no others."""

from pathlib import Path

from trio.testing import MockClock

from potp2p.foundation.types import Height
from potp2p.services.outcomes import OwnOutcomes
from tests.doubles.world import make_rules, open_world


async def test_whoever_only_audited_a_contribution_is_not_told_of_it_as_its_own(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, audit_rate=1_000_000) as world:
        rules = make_rules(rounds=1)
        _, task = await world.submit(rules)
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: chain.state().task(task).escrow == 0)
        told = {
            name: OwnOutcomes(machine.keys.node_id, chain).settled()
            for name, machine in world.machines.items()
        }
    heights = map(Height, range(1, chain.head.height + 1))
    receipts = [each for height in heights for each in chain.store.receipts(height)]
    validators = [each for name, each in world.machines.items() if name.startswith("validator")]
    named = [
        each.name
        for each in validators
        if any(receipt.find(each.keys.node_id) >= 0 for receipt in receipts)
    ]
    assert named, "auditors are named in receipts"
    assert {told[each.name] for each in validators} == {()}
    shards = sorted(line.shard for lines in told.values() for line in lines)
    assert shards == list(range(rules.rounds.shards_per_round))
