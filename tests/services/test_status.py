"""Status tells one state with its reason, and nothing that is not so."""

from dataclasses import replace
from pathlib import Path

import trio
from trio.testing import MockClock

from potp2p.network.ports import StreamProtocol
from potp2p.observability.status import MinerStatus, NodeStatus, StateCode
from potp2p.protocol.wire.exchange import Role
from potp2p.services.outcomes import OwnOutcomes
from potp2p.simulation.adversaries.cheat import League
from potp2p.simulation.adversaries.hiders import Withholder
from tests.doubles.workers import FakeWorkers, Garbler, right_header
from tests.doubles.world import Machine, make_rules, open_world


def shown(machine: Machine) -> NodeStatus:
    """Return a machine's snapshot."""
    return machine.node.status.snapshot()


def summary(machine: Machine) -> tuple[StateCode, list[str]]:
    """Return the state and the codes of its reasons."""
    status = shown(machine)
    return status.state, [each.code for each in status.reasons]


async def test_a_node_alone_is_starting_and_says_what_to_do(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, validators=1, miners=0) as world:
        lonely = world.machines["validator-0"]
        assert summary(lonely) == (StateCode.STARTING, ["no_peers"])
        assert shown(lonely).advice is not None


async def test_roles_in_step_show_what_they_do(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_world(tmp_path, miners=1) as world:
        observer = world.add("observer", Role.OBSERVER)
        spare = world.add("spare", Role.VALIDATOR)
        await world.height(6)
        await trio.sleep(6)
        assert summary(world.machines["validator-1"]) == (StateCode.VALIDATING, ["validator"])
        assert summary(observer) == (StateCode.FOLLOWING, ["observer"])
        assert summary(spare) == (StateCode.FOLLOWING, ["no_seat"])
        assert summary(world.machines["miner-0"]) == (StateCode.IDLE, ["network_has_no_tasks"])
        status = shown(observer)
        assert status.chain.synced
        assert status.chain.last_signers in (3, 4)
        assert status.chain.state_root == observer.node.chain.head.state_root.hex()
        assert (status.miner, status.consensus, status.devices) == (None, None, ())


async def test_a_node_far_behind_is_syncing_until_it_is_not(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        await world.height(12)
        world.hub.drop = lambda transit: transit.channel is StreamProtocol.BLOCKS
        observer = world.add("observer", Role.OBSERVER)
        await trio.sleep(0.3)
        assert summary(observer) == (StateCode.SYNCING, ["not_synced"])
        world.hub.drop = lambda transit: False
        await world.until(lambda: summary(observer)[0] is StateCode.FOLLOWING)


async def test_a_miner_registers_mines_and_counts_what_was_accepted(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        workers = FakeWorkers(ready_at=trio.current_time() + 4)
        miner = world.add("miner-0", Role.MINER, workers=workers)
        await trio.sleep(3)
        assert summary(miner) == (StateCode.IDLE, ["registering"])
        await world.submit(make_rules(rounds=2))
        await world.until(lambda: summary(miner) == (StateCode.MINING, []))
        await world.until(lambda: bool(shown(miner).miner.leases))  # type: ignore[union-attr]
        line = shown(miner).miner.leases[0]  # type: ignore[union-attr]
        assert line.stage in ("waiting", "fetching", "training", "claiming")
        await world.until(lambda: shown(miner).miner.accepted >= 2)  # type: ignore[union-attr]
        status = shown(miner)
        assert status.miner is not None
        record = miner.node.chain.state().miner(miner.keys.account)
        assert record is not None
        assert status.miner.earned == record.earned
        assert status.balance == miner.node.chain.state().account(miner.keys.account).balance


async def test_a_miner_is_told_what_its_settled_contributions_came_to(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=1) as world:
        _, task = await world.submit(make_rules(rounds=2))
        miner = world.machines["miner-0"]
        state = miner.node.chain.state
        await world.until(lambda: state().find_task(task) is not None)
        await world.until(lambda: state().task(task).escrow == 0)
        status = shown(miner).miner
        assert status is not None
        assert {(each.task, each.outcome) for each in status.outcomes} == {(task.hex(), "paid")}
        assert [each.height for each in status.outcomes] == sorted(
            each.height or 0 for each in status.outcomes
        )
        assert status.under_audit == ()
        assert shown(miner).miner == status, "told once each"
        miner.node.status._own = OwnOutcomes(miner.keys.node_id, miner.node.chain)
        assert shown(miner).miner == status, "a node that was started again knows it too"


async def test_a_miner_that_cheated_is_told_so_and_until_when_it_is_out(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, audit_rate=1_000_000) as world:
        cheat = world.add("cheat", Role.MINER, workers=Garbler(content=right_header))
        await world.submit(make_rules(rounds=3))

        def mine() -> MinerStatus:
            found = shown(cheat).miner
            assert found is not None
            return found

        await world.until(lambda: mine().suspended)
        assert {each.outcome for each in mine().under_audit} == {"open"}
        await world.until(lambda: mine().banned_until is not None)
        assert summary(cheat) == (StateCode.IDLE, ["banned"])
        told = shown(cheat).reasons[0].detail
        assert f"until height {mine().banned_until}, since an audit failed: distance over" in told
        assert "slashed" in {each.outcome for each in mine().under_audit}


async def test_a_miner_that_serves_nothing_is_told_what_its_claims_cost(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    hider = Withholder(League(tmp_path / "league"))
    async with open_world(tmp_path) as world:
        cheat = world.add("hider", Role.MINER, tamper=lambda machine: hider.take_over(machine.node))
        await world.until(lambda: shown(cheat).miner is not None)
        state = cheat.node.chain.state
        await world.until(lambda: state().miner(cheat.keys.account) is not None)
        bond = state().account(cheat.keys.account).bond
        _, task = await world.submit(make_rules(rounds=2))
        await world.until(lambda: state().find_task(task) is not None)
        await world.until(lambda: state().task(task).escrow == 0)
        status = shown(cheat).miner
        assert status is not None
        fined = [each for each in status.outcomes if each.outcome == "fined"]
        assert fined
        assert fined[0].reason.startswith("fined ")
        assert "0 of 4 validators attested the payload, 2 were needed" in fined[0].reason
        assert state().account(cheat.keys.account).bond < bond
        assert status.rejected == 0
        others = [each for each in world.machines.values() if each.node.mining is not None]
        for each in others:
            if each is not cheat:
                held = shown(each).miner
                assert held is not None
                assert {line.outcome for line in held.outcomes} <= {"paid"}


async def test_an_idle_newcomer_is_told_why_shards_are_few_and_asked_for_no_deposit(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, change=lambda each: replace(each, sponsor=None)) as world:
        rigs = [world.machines[name] for name in ("miner-0", "miner-1")]
        state = rigs[0].node.chain.state
        await world.until(lambda: all(state().miner(each.keys.account) for each in rigs))
        assert {state().account(each.keys.account).bond for each in rigs} == {0}
        await world.submit(make_rules(rounds=2, shards=1, shards_per_round=1))
        seen: set[str] = set()

        def is_told() -> bool:
            seen.update(code for each in rigs for code in summary(each)[1])
            return "newcomer" in seen

        await world.until(is_told)
        assert not [code for code in seen if "deposit" in code]
