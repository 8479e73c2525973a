"""A height that does not end: its journal stays small, and what it keeps is the whole height."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random

from potp2p.foundation.limits import JOURNAL_COMPACT_BYTES
from potp2p.foundation.types import Digest, Height, Rank, View
from potp2p.protocol.consensus.effects import Cast, Effect
from potp2p.protocol.consensus.events import (
    BetterBodyHeard,
    Event,
    MessageReceived,
    SealReceived,
    Timer,
    TimerFired,
)
from potp2p.protocol.consensus.height import HeightState
from potp2p.protocol.consensus.machine import Replica
from potp2p.protocol.wire.schema import encode
from potp2p.services.consensus_blocks import BlockShelf, shelved
from potp2p.services.consensus_guard import SigningGuard
from potp2p.services.consensus_memory import ReplicaMemory
from potp2p.services.consensus_records import (
    BlockKept,
    changes_state,
    decode_record,
    encode_record,
)
from potp2p.services.consensus_snapshot import HeightKept, keep_height, restore_height
from potp2p.simulation.core.messages import (
    certificate,
    checked,
    commit,
    prepare,
    propose,
    seal,
    view_change,
)
from potp2p.simulation.core.stubs import FIRST_HEIGHT, TIMING, start
from potp2p.simulation.disks import MemoryRecord
from potp2p.storage.journal import JournalFile, journal_paths
from tests.doubles.validators import CHAIN, key_of, make_block

BLOCKS = tuple(Digest(bytes([letter]) * 32) for letter in b"aopt")


@dataclass
class Scribe:
    """A replica whose inputs go to a journal on disk first, as the service has it."""

    replica: Replica
    memory: ReplicaMemory
    shelf: BlockShelf
    signs: bool = True
    first: tuple[Effect, ...] = ()
    """Of the last event, without what own signatures led to."""

    def step(self, event: Event) -> list[Effect]:
        """Note an input, step, and sign what the step wants to say."""
        if changes_state(event):
            self.memory.log(event)
        effects: list[Effect] = []
        direct = self.replica.step(event)
        for effect in direct:
            effects.append(effect)
            if not self.signs:
                continue
            signature = self.memory.sign(effect.statement) if isinstance(effect, Cast) else None
            if isinstance(effect, Cast) and signature is not None:
                effects += self.step(MessageReceived(effect.signed(signature)))
        self.first = direct
        return effects


@contextmanager
def scribe_on(path: Path, record: MemoryRecord, size: int, seat: int) -> Iterator[Scribe]:
    """Yield a replica as a fresh process builds it from what the disk keeps."""
    with JournalFile.open(path) as journal:
        memory = ReplicaMemory(journal, SigningGuard(key_of(seat), CHAIN, record))
        scribe = Scribe(Replica(TIMING), memory, BlockShelf())
        facts = start(size, seat)
        if not memory.recover(scribe.replica, scribe.shelf, facts):
            memory.begin()
            scribe.step(facts)
        yield scribe


def random_event(random: Random, at: HeightState) -> Event:
    """Return something that may happen to a replica of four."""
    signer, block = random.randrange(4), random.choice((BLOCKS[0], *BLOCKS[:3]))
    view = max(0, at.view + random.choice((-1, 0, 0, 0, 0, 0, 0, 1)))
    proof = certificate(block, (0, 1, 2), view=random.randrange(view)) if view else None
    shown = tuple(view_change(each, view) for each in range(3)) if view else ()
    leader = at.facts.primary(View(view))
    events: list[Event] = [
        MessageReceived(prepare(signer, block, view=view)),
        MessageReceived(prepare((signer + 1) % 4, block, view=view)),
        MessageReceived(commit(signer, block, view=view)),
        MessageReceived(view_change(signer, view + 1)),
        MessageReceived(view_change(signer, view, certificate=proof)),
        MessageReceived(propose(leader, block, view=view, view_changes=shown)),
        checked(block, primary=leader, first_view=view, rank=random.randrange(3)),
        checked(block, first_proposal=False, primary=leader, first_view=view),
        TimerFired(Timer.VIEW, FIRST_HEIGHT, at.view),
        BetterBodyHeard(FIRST_HEIGHT, Rank(random.randrange(3))),
    ]
    if random.random() < 0.05:
        events.append(SealReceived(seal(block, (0, 1, 2))))
    return random.choice(events)


def twin_of(at: HeightState) -> HeightState:
    """Return a height that went through the journal's bytes."""
    kept = decode_record(encode_record(keep_height(at)))
    assert isinstance(kept, HeightKept)
    return restore_height(kept, at.timing)


def test_any_height_comes_back_whole_and_goes_on_alike(tmp_path: Path) -> None:
    fresh, seen = HeightState(start(4, 0), TIMING), set[str]()
    for seed in range(40):
        random = Random(seed)
        with scribe_on(tmp_path / str(seed), MemoryRecord(), 4, seed % 4) as scribe:
            for _ in range(60):
                at = scribe.replica.at
                assert at is not None
                twin = Replica(TIMING, twin_of(at))
                assert twin.at == at
                seen |= {
                    each.name
                    for each in fields(HeightState)
                    if getattr(at, each.name) != getattr(fresh, each.name)
                }
                event = random_event(random, at)
                scribe.signs = random.random() < 0.8
                expected = twin.step(event)
                scribe.step(event)
                assert scribe.first == expected

    # The comparison is worth something only for what was ever different from new.
    assert {each.name for each in fields(HeightState) if each.init} - seen == {"timing"}


def test_everything_that_a_height_knows_is_kept() -> None:
    kept = {each.name for each in fields(HeightKept)}

    assert {each.name for each in fields(HeightState) if each.init} == kept | {"timing"}


async def test_hundreds_of_failed_views_of_a_full_committee_stay_bounded(tmp_path: Path) -> None:
    path, record, views = tmp_path / "wal", MemoryRecord(), 200
    sizes: list[int] = []
    with scribe_on(path, record, 100, 99) as live:
        for view in range(1, views + 1):
            proof = certificate(BLOCKS[view % 4], tuple(range(67)), view=view - 1)
            for signer in range(99):
                live.step(MessageReceived(view_change(signer, view, certificate=proof)))
            await live.memory.sync()
            sizes.append(sum(each.stat().st_size for each in journal_paths(path)))
        before = live.replica.at

    assert before is not None
    assert before.view == views
    assert max(sizes) < 4 * JOURNAL_COMPACT_BYTES
    with scribe_on(path, record, 100, 99) as again:
        assert again.replica.at == before


async def test_block_that_others_may_ask_for_outlives_the_rewriting(tmp_path: Path) -> None:
    path, record = tmp_path / "wal", MemoryRecord()
    block = make_block(start(4, 3), 0, 0)
    wanted = shelved(block, encode(block), None)
    unwanted = make_block(start(4, 3), 0, 0, transactions=(b"other",))
    with scribe_on(path, record, 4, 3) as live:
        for each in (block, unwanted):
            live.memory.log(BlockKept(encode(each)))
        live.shelf.put(wanted)
        for signer in range(3):
            live.step(MessageReceived(prepare(signer, wanted.block_hash)))
        live.step(MessageReceived(propose(0, wanted.block_hash)))
        live.step(checked(wanted.block_hash))
        live.memory._compact_at = 1
        await live.memory.sync()
        live.step(TimerFired(Timer.VIEW, Height(FIRST_HEIGHT), View(0)))
        await live.memory.sync()
        before = live.replica.at

    assert before is not None
    assert before.prepared is not None
    with scribe_on(path, record, 4, 3) as again:
        assert again.replica.at == before
        assert list(again.shelf.held) == [wanted.block_hash]
        assert again.memory.muted_height is None


async def test_blocks_of_failed_views_take_no_more_room_than_a_few(tmp_path: Path) -> None:
    """Each view may bring a block of a megabyte that comes to nothing."""
    path, record, views = tmp_path / "wal", MemoryRecord(), 40
    held, last = [0], BLOCKS[0]
    with scribe_on(path, record, 4, 3) as live:
        for view in range(1, views + 1):
            block = make_block(start(4, 3), 0, view, transactions=(bytes([view]) * 16_000,) * 60)
            kept = shelved(block, encode(block), None)
            shown = tuple(view_change(signer, view) for signer in range(3))
            live.shelf.put(kept)
            live.memory.keep_block(kept)
            live.step(
                MessageReceived(propose(view % 4, kept.block_hash, view=view, view_changes=shown))
            )
            await live.memory.sync()
            held.append(len(live.shelf.held))
            last = kept.block_hash

    assert max(held) <= JOURNAL_COMPACT_BYTES // 960_000 + 2
    assert max(each.stat().st_size for each in journal_paths(path)) < 2 * JOURNAL_COMPACT_BYTES
    with scribe_on(path, record, 4, 3) as again:
        assert last in again.shelf.held
        assert len(again.shelf.held) <= max(held)
