"""Whole nodes while seats change hands: who comes begins to vote, who goes stops, liars lose."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from trio.testing import MockClock

from potp2p.foundation.types import POT, Amount, Height, NodeId
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.records import Account
from potp2p.protocol.ledger.transition import sign_paid_transaction
from potp2p.protocol.wire.blocks import Seal
from potp2p.protocol.wire.exchange import Role
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import decode
from potp2p.protocol.wire.transactions import Bond, Paid, Unbond
from potp2p.simulation.genesis import first_state, short_lived
from potp2p.simulation.liars import BadAuthor, Liar
from potp2p.simulation.plans import Idleness, Lie
from tests.doubles.world import FEE, World, key_of, open_world

FIFTH = key_of("validator-4")
EPOCH_BLOCKS = 10


def with_four_seats(genesis: Genesis) -> Genesis:
    short = short_lived(genesis)
    return replace(short, consensus=replace(short.consensus, seats_max=4))


def account(world: World, keys: KeyPair, name: str = "validator-1") -> Account:
    return world.machines[name].node.chain.state().account(keys.account)


def send(world: World, keys: KeyPair, action: Paid) -> None:
    """Put a signed order into every pool, as gossip would."""
    any_node = next(iter(world.machines.values())).node
    nonce = any_node.chain.state().account(keys.account).nonce
    # Who leaves may have nothing but its bond: that is free.
    fee = Amount(0) if isinstance(action, Unbond) else FEE
    signed = sign_paid_transaction(keys, any_node.chain.chain_id, nonce, fee, action)
    for machine in world.machines.values():
        machine.node.chain.mempool.add(signed)


def seats(world: World, name: str = "validator-1") -> tuple[NodeId, ...]:
    return world.machines[name].node.chain.prospects.nodes


def sealers(world: World, height: int, nodes: tuple[NodeId, ...]) -> set[NodeId]:
    """Return who signed the seal of a height, by the seats of its epoch."""
    stored = world.machines["validator-1"].store.block(Height(height))
    assert stored is not None
    return {nodes[each.signer] for each in decode(Seal, stored[1]).signatures}


def has_sealed(world: World, node: NodeId) -> Callable[[], bool]:
    """Tell whether a node has a part in the seal of the head."""

    def look() -> bool:
        chain = world.machines["validator-1"].node.chain
        return node in sealers(world, chain.head.height, chain.head_validators)

    return look


async def test_a_fifth_validator_bonds_gets_a_seat_and_votes_and_another_leaves_and_stops(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0, change=short_lived) as world:
        world.add("validator-4", Role.VALIDATOR)
        await world.height(2)
        assert FIFTH.node_id not in seats(world)
        send(world, key_of("client"), Bond(FIFTH.account, Amount(500 * POT)))
        await world.until(lambda: FIFTH.node_id in seats(world))
        assert len(seats(world)) == 5
        await world.until(has_sealed(world, FIFTH.node_id))

        leaver = key_of("validator-0")
        send(world, leaver, Unbond(Amount(1_000 * POT)))
        await world.until(lambda: leaver.node_id not in seats(world))
        start = world.machines["validator-1"].node.chain.head.height
        assert start % EPOCH_BLOCKS == 0
        await world.height(start + EPOCH_BLOCKS + 2)
        after = world.machines["validator-1"].node.chain.head_validators
        assert leaver.node_id not in after
        for height in range(start + 1, start + EPOCH_BLOCKS + 1):
            assert len(sealers(world, height, after)) >= 3
        record = account(world, leaver)
        assert record.bond == 0
        due = start + 1 + world.genesis.money.unbonding_blocks
        assert [each.due for each in record.unbonding] == [due]
        world.assert_one_history()
        world.assert_money_conserved()
        assert not world.hub.penalties, "nobody was hostile"


async def test_a_seat_that_changed_hands_is_remembered_by_who_restarts_between_two_epochs(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0, change=short_lived) as world:
        world.add("validator-4", Role.VALIDATOR)
        await world.height(1)
        send(world, key_of("client"), Bond(FIFTH.account, Amount(500 * POT)))
        await world.until(lambda: FIFTH.node_id in seats(world))
        machine = world.machines["validator-1"]
        assert machine.node.chain.head.height % EPOCH_BLOCKS == 0
        machine.kill()
        world.start(machine)
        assert len(machine.node.chain.head_validators) == 4
        assert len(machine.node.chain.prospects.nodes) == 5
        await world.height(machine.node.chain.head.height + EPOCH_BLOCKS + 1)
        world.assert_one_history()
        assert not world.hub.penalties


async def test_a_liar_is_convicted_by_what_one_honest_validator_saw_and_loses_its_seat(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    liar = key_of("validator-3")
    async with open_world(tmp_path, miners=0, change=with_four_seats) as world:
        others = tuple(key_of(f"validator-{index}").node_id for index in range(3))
        chain = world.machines["validator-1"].node.chain
        world.hub.tampers[liar.node_id] = Liar(liar, chain.chain_id, Lie.EQUIVOCATE, others).send
        world.add("validator-4", Role.VALIDATOR)
        await world.height(1)
        supply = chain.state().chain().supply
        send(world, key_of("client"), Bond(FIFTH.account, Amount(500 * POT)))
        await world.until(lambda: chain.state().convict(liar.account) is not None)
        assert account(world, liar).bond == 0
        # What its bond was, and the base fee of the client's.
        assert 0 < supply - 1_000 * POT - chain.state().chain().supply < FEE
        await world.until(lambda: liar.node_id not in seats(world))
        assert FIFTH.node_id in seats(world)
        await world.until(has_sealed(world, FIFTH.node_id))
        height = chain.head.height
        await world.height(height + 12, "validator-0", "validator-1", "validator-2", "validator-4")
        honest = ("validator-0", "validator-1", "validator-2", "validator-4")
        assert all(len(world.machines[name].node.evidence) == 0 for name in honest)
        world.assert_one_history(*honest)
        world.assert_money_conserved()


async def test_an_author_of_two_bodies_is_convicted_by_whoever_heard_both(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    rig = key_of("miner-0")
    async with open_world(tmp_path, validators=0, miners=0, seats=4, change=short_lived) as world:
        world.first = first_state(world.genesis_bytes, [rig.node_id])
        for index in range(4):
            world.add(f"validator-{index}", Role.VALIDATOR)
        world.add("miner-0", Role.MINER)
        chain = world.machines["validator-1"].node.chain
        author = BadAuthor(rig, chain.chain_id, Idleness.TWO_BODIES)
        world.hub.tampers[rig.node_id] = author.send
        await world.until(lambda: chain.state().convict(rig.account) is not None)
        miner = chain.state().miner(rig.account)
        assert miner is not None
        assert miner.banned_until > chain.head.height
        await world.until(lambda: chain.state().chain().cycle > 2)
        assert chain.prospects.ranking == ()
        await world.until(
            lambda: all(
                len(world.machines[f"validator-{index}"].node.evidence) == 0 for index in range(4)
            )
        )
        world.assert_one_history()
