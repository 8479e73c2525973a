"""An author that was put back from a backup signs no second body, and is silent for no longer."""

from dataclasses import replace
from pathlib import Path

from trio.testing import MockClock

from potp2p.foundation.types import Height, NodeId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.wire.blocks import AuthoredBody
from potp2p.protocol.wire.schema import decode
from potp2p.services.authoring import OWN_BODY
from potp2p.services.past_bodies import PastBodies
from potp2p.simulation.stores import MemoryChainStore, MemoryNotebook
from tests.doubles.world import Machine, World, key_of, make_rules, open_world

AUTHOR = "miner-0"


def copied(machine: Machine) -> tuple[MemoryChainStore, MemoryNotebook]:
    """Return chain and notes of a machine as a backup would hold them."""
    store = machine.store
    return replace(
        store,
        states=dict(store.states),
        nodes=dict(store.nodes),
        _blocks=list(store._blocks),
        _receipts=list(store._receipts),
        _heights=dict(store._heights),
        _metadata=dict(store._metadata),
    ), replace(machine.notebook, notes=dict(machine.notebook.notes))


def put_back(machine: Machine, backup: tuple[MemoryChainStore, MemoryNotebook]) -> None:
    """Replace a dead machine's disk by a backup."""
    machine.store, machine.notebook = backup


def bodies_of(world: World, author: NodeId) -> list[AuthoredBody]:
    """Return every body of an author that was ever sent to a validator."""
    sent = [each.body for each in world.hub.transits if each.channel is StreamProtocol.BODIES]
    found = [decode(AuthoredBody, body) for body in dict.fromkeys(sent)]
    return [each for each in found if each.body.author == author]


def authored_height(machine: Machine) -> int:
    """Return the height of the last body that a machine's disk knows of."""
    note = machine.notebook.get(OWN_BODY)
    return 0 if note is None else decode(AuthoredBody, note).body.height


async def ranked(world: World) -> Machine:
    """Wait until the author may write blocks, and return it."""
    await world.submit(make_rules(rounds=1))
    chain = world.machines["validator-0"].node.chain
    author = world.machines[AUTHOR]
    await world.until(lambda: author.node_id in chain.prospects.ranking)
    return author


async def test_an_author_restored_from_a_backup_signs_no_second_body_and_authors_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=2) as world:
        author = await ranked(world)
        await world.until(lambda: authored_height(author) > 0)
        backup = copied(author)
        top = author.node.chain.head.height
        await world.until(lambda: authored_height(author) > top + 3)
        # Nothing is decided any more, so the height of its last body stays in work.
        world.hub.drop = lambda transit: transit.channel is StreamProtocol.CONSENSUS
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: authored_height(author) == chain.head.height + 1)
        last = authored_height(author)
        author.kill()
        put_back(author, backup)
        world.start(author)
        await world.height(last - 1, AUTHOR)
        await world.until(lambda: not author.node.sync.past.unheard())
        world.hub.drop = lambda _transit: False
        await world.until(lambda: authored_height(author) > last)
        bodies = bodies_of(world, author.node_id)
        assert len({each.body.height for each in bodies}) == len(bodies), "two for one height"
        assert chain.state().convict(author.keys.account) is None
        assert max(each.body.height for each in bodies) > last


def past_of(world: World) -> PastBodies:
    """Return what an author knows who is at a height with four seats and was told nothing."""
    return PastBodies(key_of(AUTHOR).node_id, world.machines["validator-0"].node.chain)


async def test_a_few_validators_that_lie_neither_silence_an_author_nor_make_it_sign(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        await world.height(2)
        world.freeze()
        seats = world.machines["validator-0"].node.chain.prospects.nodes
        boasted, belittled = past_of(world), past_of(world)
        boasted.hear(seats[0], Height(1 << 47))
        belittled.hear(seats[0], Height(0))
        for past in (boasted, belittled):
            past.hear(seats[1], Height(20))
            assert not past.may_sign(Height(1 << 40)), "three of four are needed"
            past.hear(seats[2], Height(20))
        assert not belittled.may_sign(Height(22)), "whoever had height 21 may have signed 22"
        assert not boasted.may_sign(Height(23))
        boasted.hear(seats[3], Height(20))
        for past in (boasted, belittled):
            assert past.may_sign(Height(23))
            assert past.unheard() == ()


async def test_only_the_first_answers_of_other_seats_count(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        await world.height(2)
        world.freeze()
        chain = world.machines["validator-0"].node.chain
        seats, past = chain.prospects.nodes, past_of(world)
        for name in ("a stranger", "another", "a third"):
            past.hear(key_of(name).node_id, Height(0))
        assert past.unheard() == seats
        own = PastBodies(seats[0], chain)
        for seat in seats[:3]:
            own.hear(seat, Height(0))
        assert not own.may_sign(Height(9)), "nobody vouches for his own memory"
        own.hear(seats[3], Height(5))
        own.hear(seats[3], Height(0))
        assert not own.may_sign(Height(7))
        assert own.may_sign(Height(8))


async def test_one_answer_is_enough_where_no_validator_may_lie(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, validators=3, miners=0) as world:
        await world.height(2)
        world.freeze()
        chain = world.machines["validator-0"].node.chain
        seats = chain.prospects.nodes
        own = PastBodies(seats[0], chain)
        assert not own.may_sign(Height(1 << 40))
        own.hear(seats[1], Height(5))
        assert not own.may_sign(Height(7))
        assert own.may_sign(Height(8)), "a miner with a seat among three must author again"


async def test_a_body_that_is_stored_is_said_again_right_after_a_restart(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=2) as world:
        author = await ranked(world)
        world.hub.drop = lambda transit: transit.channel is StreamProtocol.CONSENSUS
        chain = world.machines["validator-0"].node.chain
        await world.until(lambda: authored_height(author) == chain.head.height + 1)
        before = len(world.hub.transits)
        author.kill()
        world.start(author)

        def said_again() -> bool:
            sent = world.hub.transits[before:]
            return any(
                each.channel is StreamProtocol.BODIES and each.sender == author.node_id
                for each in sent
            )

        await world.until(said_again)
        bodies = bodies_of(world, author.node_id)
        assert len({each.body.height for each in bodies}) == len(bodies)
