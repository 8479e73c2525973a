"""Authors in league leave out one miner's words: its rivals lose their turns, it is paid."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from trio.testing import MockClock

from potp2p.foundation.types import Height
from potp2p.protocol.ledger.records import TaskStatus
from potp2p.protocol.ledger.transition import decode_transaction
from potp2p.protocol.wire.blocks import RANK_NONE, Block
from potp2p.protocol.wire.exchange import Role
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import decode
from potp2p.services.mempool import Mempool
from potp2p.simulation.genesis import first_state
from potp2p.simulation.machine import Machine
from tests.doubles.world import World, key_of, make_rules, open_world

RIVALS = ("rival-0", "rival-1", "rival-2")
VICTIM = "victim"
NEVER = 1_000


def leaves_out(sender: bytes) -> Callable[[Machine], None]:
    """Return what makes a machine write blocks without anything that somebody says."""

    def tamper(machine: Machine) -> None:
        pool = machine.node.chain.mempool
        honest = Mempool.candidates

        def candidates(self: Mempool) -> tuple[bytes, ...]:
            return tuple(
                each for each in honest(self) if decode_transaction(each).body.sender != sender
            )

        class Partial(Mempool):
            __slots__ = ()

        Partial.candidates = candidates  # type: ignore[method-assign]
        pool.__class__ = Partial

    return tamper


def forced_after(blocks: int) -> Callable[[Genesis], Genesis]:
    return lambda genesis: replace(
        genesis, consensus=replace(genesis.consensus, forced_inclusion_blocks=blocks)
    )


async def cast(world: World) -> None:
    """Let three authors win every rank of the lottery, and a fourth miner come to work then."""
    world.first = first_state(world.genesis_bytes, [key_of(name).node_id for name in RIVALS])
    for index in range(4):
        world.add(f"validator-{index}", Role.VALIDATOR)
    victim = key_of(VICTIM).node_id
    for name in RIVALS:
        world.add(name, Role.MINER, tamper=leaves_out(victim))
    # Who has just started authors nothing: primaries would let the victim in meanwhile.
    await world.until(lambda: any(rank != RANK_NONE for rank, _ in bodies(world)))
    world.add(VICTIM, Role.MINER)


def bodies(world: World) -> list[tuple[int, int]]:
    """Return rank of author and view of first proposal of every block."""
    found: list[tuple[int, int]] = []
    store = world.machines["validator-0"].store
    for height in range(1, world.machines["validator-0"].node.chain.head.height + 1):
        stored = store.block(Height(height))
        assert stored is not None
        header = decode(Block, stored[0]).header
        found.append((header.body.rank, header.frame.view))
    return found


async def test_a_miner_that_every_author_leaves_out_is_paid_all_the_same(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, validators=0, miners=0, seats=4) as world:
        await cast(world)
        chain = world.machines["validator-0"].node.chain
        account = key_of(VICTIM).account
        await world.until(lambda: chain.state().miner(account) is not None)
        _, task = await world.submit(make_rules(rounds=3, shards=4, shards_per_round=4))
        await world.until(
            lambda: chain.state().task(task).status is TaskStatus.FINISHED, seconds=300
        )
        await world.until(lambda: chain.state().task(task).escrow == 0, seconds=300)
        victim = chain.state().miner(account)
        assert victim is not None
        assert victim.accepted > 0
        assert (victim.missed, victim.rejected) == (0, 0)
        assert victim.earned > 0
        blocks = bodies(world)
        assert any(rank == RANK_NONE for rank, _ in blocks), "primaries wrote what rivals did not"
        assert max(view for _, view in blocks) <= 3, "no height waits for a refusal to end"
        world.assert_one_history()


async def test_without_forced_inclusion_the_same_authors_keep_it_out(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    world_of = open_world(tmp_path, validators=0, miners=0, seats=4, change=forced_after(NEVER))
    async with world_of as world:
        await cast(world)
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: all(chain.state().miner(key_of(name).account) for name in RIVALS))
        await world.height(chain.head.height + 20)
        assert chain.state().miner(key_of(VICTIM).account) is None


async def test_honest_authors_and_primaries_are_never_refused_for_want_of_a_statement(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, validators=0, miners=0, seats=4) as world:
        world.first = first_state(world.genesis_bytes, [key_of(name).node_id for name in RIVALS])
        for index in range(4):
            world.add(f"validator-{index}", Role.VALIDATOR)
        for name in (*RIVALS, VICTIM):
            world.add(name, Role.MINER)
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: chain.state().miner(key_of(VICTIM).account) is not None)
        _, task = await world.submit(make_rules(rounds=2, shards=4, shards_per_round=4))
        await world.until(
            lambda: chain.state().task(task).status is TaskStatus.FINISHED, seconds=300
        )
        said = [line.text for each in world.machines.values() for line in each.node.logbook.lines()]
        assert not [text for text in said if "leaves out" in text]
        assert all(view == 0 for _, view in bodies(world)[1:])
