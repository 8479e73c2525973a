"""Crashes of the consensus service: durable before visible, and never two stories."""

from random import Random

import pytest
import trio
from trio.testing import MockClock

from potp2p.foundation.errors import UnsafeError
from potp2p.foundation.types import Epoch
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.consensus.events import MessageReceived
from potp2p.protocol.wire.consensus import (
    Proposal,
    ProvenViewChange,
    SignedCommit,
    SignedMessage,
    SignedPrepare,
    Statement,
    decode_frame,
)
from potp2p.protocol.wire.schema import encode
from potp2p.services.consensus_guard import LOST, Silence
from potp2p.services.consensus_records import encode_record
from tests.doubles.network import MemoryHub, Transit
from tests.doubles.validators import EPOCH, Validator, make_validators, until

SIGNED = SignedPrepare | SignedCommit | ProvenViewChange | Proposal


def own_words(transit: Transit, validators: list[Validator]) -> SignedMessage | None:
    """Return what the sender of a frame says in its own name."""
    if transit.channel is not StreamProtocol.CONSENSUS:
        return None
    frame = decode_frame(transit.body)
    if not isinstance(frame, SIGNED):
        return None
    seat = validators[0].chain.nodes.index(transit.sender)
    return frame if frame.statement.signer == seat else None


def assert_one_story(hub: MemoryHub, validators: list[Validator]) -> None:
    """Look at everything that was ever sent for two statements in one place."""
    said: dict[tuple[object, ...], Statement] = {}
    for transit in hub.transits:
        words = own_words(transit, validators)
        if words is not None:
            statement = words.statement
            place = (statement.signer, statement.height, statement.view, type(statement))
            assert said.setdefault(place, statement) == statement


async def test_every_word_is_in_journal_and_guard_when_it_leaves(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    hub = MemoryHub()
    validators = make_validators(4, hub)
    early: list[Transit] = []

    def watch(transit: Transit) -> bool:
        words = own_words(transit, validators)
        if words is not None:
            sender = next(each for each in validators if each.key.node_id == transit.sender)
            is_journaled = encode_record(MessageReceived(words)) in sender.journal.synced
            last = sender.service.guard.last
            is_guarded = last is not None and sender.record.content is not None
            if not (is_journaled and is_guarded and not sender.journal.unsynced):
                early.append(transit)
        return False

    hub.drop = watch
    for validator in validators:
        nursery.start_soon(validator.run)
    await until(lambda: len(validators[0].chain.blocks) >= 3)

    assert early == []
    assert len(hub.transits) > 50
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(6))
async def test_validators_killed_at_any_moment_tell_one_story_and_go_on(
    seed: int, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    random = Random(seed)
    hub = MemoryHub(delay_seconds=lambda _: random.uniform(0.001, 0.05))
    validators = make_validators(4, hub)
    nursery.start_soon(hub.run)
    for validator in validators:
        nursery.start_soon(validator.run)

    for _ in range(12):
        await trio.sleep(random.uniform(0.0, 0.6))
        victim = random.choice(validators)
        victim.kill()
        await trio.sleep(random.uniform(0.001, 0.4))
        victim.boot()
        nursery.start_soon(victim.run)
        await catch_up(victim, validators)
    goal = max(len(validator.chain.blocks) for validator in validators) + 3
    for _ in range(20):
        await trio.sleep(1)
        for validator in validators:
            await catch_up(validator, validators)
    await until(lambda: min(len(each.chain.blocks) for each in validators) >= goal)

    assert_one_story(hub, validators)
    assert hub.penalties == []
    nursery.cancel_scope.cancel()


async def catch_up(late: Validator, validators: list[Validator]) -> None:
    """Hand over sealed blocks as the sync service does."""
    best = max((validator.chain.blocks for validator in validators), key=len)
    for block, seal in list(best[len(late.chain.blocks) :]):
        await late.service.adopt(block, seal)


async def test_all_at_once_come_back_and_finish_the_height(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    hub = MemoryHub(delay_seconds=lambda _: 0.02)
    validators = make_validators(4, hub)
    nursery.start_soon(hub.run)
    for stop_after in (0.53, 0.55, 0.57, 0.59, 0.61):
        for validator in validators:
            nursery.start_soon(validator.run)
        await trio.sleep(stop_after)
        for validator in validators:
            validator.kill()
        for validator in validators:
            validator.boot()
    for validator in validators:
        nursery.start_soon(validator.run)
    await until(lambda: min(len(each.chain.blocks) for each in validators) >= 3)

    assert_one_story(hub, validators)
    nursery.cancel_scope.cancel()


async def test_view_that_was_left_before_a_crash_is_not_entered_again(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    hub = MemoryHub()
    validators = make_validators(4, hub)
    alone = validators[3]
    nursery.start_soon(alone.run)
    await trio.sleep(2)
    before = alone.service.status()
    alone.kill()
    alone.boot()
    nursery.start_soon(alone.run)
    await trio.sleep(0.1)

    after = alone.service.status()
    assert before is not None
    assert after is not None
    assert (before.view, after.view) == (1, 1)
    nursery.cancel_scope.cancel()


async def test_restarted_validator_repeats_its_very_bytes(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    hub = MemoryHub()
    validators = make_validators(4, hub)
    first = validators[1]
    nursery.start_soon(first.run)
    await trio.sleep(1)
    said = [transit.body for transit in hub.transits if own_words(transit, validators)]
    first.kill()
    first.boot()
    hub.transits.clear()

    nursery.start_soon(first.run)
    await trio.sleep(0.3)

    repeated = [transit.body for transit in hub.transits if own_words(transit, validators)]
    assert said
    assert set(repeated) == set(said)
    nursery.cancel_scope.cancel()


async def test_validator_that_lost_its_journal_is_silent_until_the_next_height(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    hub = MemoryHub()
    validators = make_validators(4, hub)
    victim = validators[1]
    nursery.start_soon(victim.run)
    await trio.sleep(1)
    before = [words for transit in hub.transits if (words := own_words(transit, validators))]
    assert before
    victim.kill()
    victim.journal.reset()
    victim.boot()
    restarted_at = len(hub.transits)

    nursery.start_soon(victim.run)
    await trio.sleep(5)
    for validator in validators:
        if validator is not victim:
            nursery.start_soon(validator.run)
    await until(lambda: min(len(each.chain.blocks) for each in validators) >= 1)
    # What it hears back of its own first life it may pass on, for those are the same bytes.
    new = [
        words
        for transit in hub.transits[restarted_at:]
        if transit.sender == victim.key.node_id
        and (words := own_words(transit, validators)) is not None
        and words not in before
    ]
    assert 1 not in {words.statement.height for words in new}
    await until(lambda: min(len(each.chain.blocks) for each in validators) >= 4)

    signers = [{each.signer for each in seal.signatures} for _, seal in victim.chain.blocks[1:]]
    assert any(victim.index in each for each in signers)
    assert_one_story(hub, validators)
    nursery.cancel_scope.cancel()


async def test_journal_of_a_stored_height_is_ignored(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A crash between the stored block and the cut journal leaves the old height behind."""
    hub = MemoryHub()
    validators = make_validators(4, hub)
    for validator in validators:
        nursery.start_soon(validator.run)
    await until(lambda: min(len(each.chain.blocks) for each in validators) >= 4)
    old = validators[2].journal.cut
    validators[2].kill()
    validators[2].journal.reset()
    validators[2].journal.synced = old
    validators[2].boot()
    assert len(old) > 3

    nursery.start_soon(validators[2].run)
    goal = len(validators[0].chain.blocks) + 3
    await until(lambda: len(validators[0].chain.blocks) >= goal)

    assert_one_story(hub, validators)
    nursery.cancel_scope.cancel()


async def run_on(entries: list[bytes], *, blocks: int = 0) -> None:
    """Start a validator on a journal."""
    validator = make_validators(4, MemoryHub())[0]
    validator.journal.synced = entries
    assert blocks == len(validator.chain.blocks)
    with trio.fail_after(5):
        await validator.service.run()


async def test_journal_above_the_chain_is_refused(autojump_clock: MockClock) -> None:
    facts = make_validators(4, MemoryHub())[0].chain.next_height()
    above = type(facts)(
        type(facts.height)(7),
        facts.epoch,
        facts.head_hash,
        facts.validators,
        facts.seat,
        facts.primaries,
        None,
    )

    with pytest.raises(UnsafeError, match="height 7"):
        await run_on([encode_record(above)])


@pytest.mark.parametrize("entry", [b"", b"\x80", b"\x81\x00", b"not a record"])
async def test_unreadable_journal_is_refused_with_one_clear_line(
    entry: bytes, autojump_clock: MockClock
) -> None:
    with pytest.raises(UnsafeError, match="journal"):
        await run_on([entry])


async def test_validator_without_a_past_listens_until_the_next_epoch_and_then_votes(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    hub = MemoryHub()
    validators = make_validators(4, hub)
    silent = validators[2]
    silent.record.content = encode(LOST)
    silent.kill()
    for validator in validators:
        if validator is not silent:
            nursery.start_soon(validator.run)
    await until(lambda: len(validators[0].chain.blocks) >= 2)
    silent.boot()
    nursery.start_soon(silent.run)
    await catch_up(silent, validators)
    await until(lambda: min(len(each.chain.blocks) for each in validators) >= 3)
    silent.kill()
    silent.boot()
    nursery.start_soon(silent.run)
    await until(lambda: min(len(each.chain.blocks) for each in validators) >= 5)

    signers = [{each.signer for each in seal.signatures} for _, seal in validators[0].chain.blocks]
    assert not any(silent.index in each for each in signers)
    assert silent.service.guard.silence == Silence(EPOCH)
    for validator in validators:
        validator.chain.epoch = Epoch(1)
    goal = len(validators[0].chain.blocks) + 3
    await until(lambda: min(len(each.chain.blocks) for each in validators) >= goal)
    seals = [seal for _, seal in validators[0].chain.blocks if seal.epoch > EPOCH]
    assert any(silent.index in {each.signer for each in seal.signatures} for seal in seals)
    assert_one_story(hub, validators)
    nursery.cancel_scope.cancel()


async def test_primary_that_dies_as_its_proposal_leaves_comes_back_with_the_block(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Nobody else got it: only the journal has it."""
    hub = MemoryHub()
    validators = make_validators(4, hub)
    first = validators[1]
    left: list[Proposal] = []

    def watch(transit: Transit) -> bool:
        words = own_words(transit, validators)
        if isinstance(words, Proposal) and words.statement.height == 1 and not left:
            left.append(words)
            first.scope.cancel()
        return transit.sender == first.key.node_id

    hub.drop = watch
    nursery.start_soon(first.run)
    await until(lambda: bool(left))
    await trio.sleep(0.1)
    hub.detach(first.key.node_id)
    hub.drop = lambda _: False
    first.boot()
    for validator in validators:
        nursery.start_soon(validator.run)
    await until(lambda: min(len(each.chain.blocks) for each in validators) >= 1)

    assert first.chain.blocks[0][1].view == 0
    assert first.chain.blocks[0][1].block_hash == left[0].statement.block_hash
    assert_one_story(hub, validators)
    nursery.cancel_scope.cancel()
