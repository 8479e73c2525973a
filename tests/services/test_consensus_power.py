"""
Power fails before and after every durable operation of a validator; luck keeps some of the rest.

Journal, record and recovery are the real ones over a disk that forgets; the chain's commit counts
as one operation. After each cut the validator starts over what is left, and the network goes on.
"""

import errno
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from random import Random

import pytest
import trio
from trio.testing import MockClock

from potp2p.foundation.errors import OperatingError
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.consensus.events import HeightStarted
from potp2p.protocol.wire.blocks import Block, Seal
from potp2p.protocol.wire.consensus import (
    Proposal,
    ProvenViewChange,
    SignedCommit,
    SignedPrepare,
    Statement,
    decode_frame,
)
from potp2p.services.consensus import ConsensusService
from potp2p.services.consensus_guard import SigningGuard
from potp2p.simulation.disks import Kept
from potp2p.storage.journal import JournalFile
from potp2p.storage.safety import SafetyFile
from tests.doubles.files import FaultyFiles, PowerCut
from tests.doubles.network import MemoryHub
from tests.doubles.validators import (
    CHAIN,
    TIMING,
    MemoryChain,
    Validator,
    make_validators,
    until,
)

SIGNED = SignedPrepare | SignedCommit | ProvenViewChange | Proposal
FOLDER = Path("/validator")
HEIGHTS = 2
"""Walked through operation by operation; as many and one more follow each cut."""
SIZE = 4
CLOUDED_SECONDS = 0.8
"""After a start: the block interval and some, so that a primary has chosen anew."""
VICTIM = 1
"""Leads height 1."""


@dataclass(slots=True)
class CountedChain(MemoryChain):
    """A chain whose commit is one durable operation of the same machine."""

    files: FaultyFiles = field(default_factory=FaultyFiles)

    async def decided(self, block: Block, seal: Seal) -> HeightStarted:
        """Store a block whole, or not at all."""
        await trio.lowlevel.checkpoint()

        def store() -> None:
            assert seal.height == len(self.blocks) + 1
            self.blocks.append((block, seal))

        try:
            self.files.count("commit", store)
        except PowerCut:
            await trio.sleep_forever()
        return self.next_height()


@dataclass
class Victim:
    """A validator over a disk that loses power."""

    hub: MemoryHub
    chain: CountedChain
    files: FaultyFiles
    validator: Validator
    random: Random
    kept: Kept
    boots: int = 0
    clears_at: float = 0.0
    is_attached: bool = False
    service: ConsensusService | None = None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    async def live(self) -> None:
        """Run, lose power, start again over what is left, to the end of the test."""
        self.files.on_cut = self.die
        while True:
            self.boots += 1
            # A process that forgot what it chose would choose something else.
            self.chain.transactions = (bytes([self.boots]),)
            with ExitStack() as stack:
                try:
                    service = self.boot(stack)
                except PowerCut:
                    service = None
                if service is not None:
                    with trio.CancelScope() as self.scope:
                        self.service = service
                        await service.run()
            self.service = None
            self.files.lose_power(self.kept, self.random)
            # The others hear what left, and none of them decides before the victim speaks again:
            # whoever forgot his words would now say others.
            self.hub.drop = lambda _: True
            await trio.sleep(0.02)
            self.clears_at = trio.current_time() + CLOUDED_SECONDS
            self.hub.drop = lambda _: trio.current_time() < self.clears_at

    def boot(self, stack: ExitStack) -> ConsensusService:
        """Build the service from what the disk keeps."""
        journal = stack.enter_context(JournalFile.open(FOLDER / "wal", self.files))
        record = stack.enter_context(SafetyFile.open(FOLDER / "state", self.files))
        network = self.hub.attach(self.validator.key.node_id)
        self.is_attached = True
        guard = SigningGuard(self.validator.key, CHAIN, record)
        return ConsensusService(
            self.validator.key.node_id,
            CHAIN,
            TIMING,
            guard,
            journal,
            self.chain,
            network,
            network,
        )

    def die(self) -> None:
        """End the process at once."""
        if self.is_attached:
            self.hub.detach(self.validator.key.node_id)
        self.is_attached = False
        self.scope.cancel()

    async def catch_up(self, others: list[Validator]) -> None:
        """Hand over sealed blocks as the sync service does."""
        while True:
            await trio.sleep(0.25)
            best = max((each.chain.blocks for each in others), key=len)
            service = self.service
            for block, seal in best[len(self.chain.blocks) :]:
                if service is None or service is not self.service:
                    break
                with trio.move_on_after(1):
                    await service.adopt(block, seal)


def assert_one_story(hub: MemoryHub, validators: list[Validator]) -> None:
    """Look at everything that was ever sent for two statements in one place."""
    said: dict[tuple[object, ...], Statement] = {}
    for transit in hub.transits:
        if transit.channel is not StreamProtocol.CONSENSUS:
            continue
        frame = decode_frame(transit.body)
        seat = validators[0].chain.nodes.index(transit.sender)
        if isinstance(frame, SIGNED) and frame.statement.signer == seat:
            statement = frame.statement
            place = (statement.signer, statement.height, statement.view, type(statement))
            assert said.setdefault(place, statement) == statement


async def cut_power(cut_at: int | None, *, after: bool, kept: Kept, seed: int) -> Victim:
    """Run a network to some heights beyond the cut; return the victim."""
    random = Random(seed)
    hub = MemoryHub(delay_seconds=lambda _: random.uniform(0.001, 0.03))
    validators = make_validators(SIZE, hub)
    others = [each for each in validators if each.index != VICTIM]
    hub.detach(validators[VICTIM].key.node_id)
    files = FaultyFiles(cut_at=cut_at, cut_after=after)
    chain = CountedChain(validators[VICTIM].chain.nodes, validators[VICTIM].chain.own, files=files)
    victim = Victim(hub, chain, files, validators[VICTIM], random, kept)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.run)
        nursery.start_soon(victim.live)
        nursery.start_soon(victim.catch_up, others)
        for each in others:
            nursery.start_soon(each.run)
        if cut_at is not None:
            await until(lambda: victim.boots > 1)
        goal = HEIGHTS if cut_at is None else len(others[0].chain.blocks) + HEIGHTS + 1
        seen: list[int] = []

        def is_reached() -> bool:
            seen.append(len(chain.blocks))
            return min(len(chain.blocks), *(len(each.chain.blocks) for each in others)) >= goal

        await until(is_reached)
        nursery.cancel_scope.cancel()
    assert seen == sorted(seen), "a stored block is never lost"
    # Seals of one block may differ in who signed.
    best = [block for block, _ in max((each.chain.blocks for each in others), key=len)]
    assert [block for block, _ in chain.blocks][: len(best)] == best[: len(chain.blocks)]
    if cut_at is None:
        return victim
    assert_one_story(hub, validators)
    signers = [{each.signer for each in seal.signatures} for _, seal in chain.blocks]
    assert any(VICTIM in each for each in signers[-HEIGHTS - 1 :]), "it votes again"
    return victim


def run(cut_at: int | None, *, after: bool, kept: Kept, seed: int) -> Victim:
    """Run in virtual time."""
    work = partial(cut_power, cut_at, after=after, kept=kept, seed=seed)
    return trio.run(work, clock=MockClock(autojump_threshold=0))


def operations(seed: int) -> int:
    """Return how many durable operations the first heights take."""
    victim = run(None, after=False, kept=Kept.NONE, seed=seed)
    assert {"write", "sync", "sync folder", "commit"} <= set(victim.files.names)
    return victim.files.operations


def test_power_may_fail_at_every_durable_operation() -> None:
    """Each with one of the four ways to lose what was not synced."""
    last = operations(seed=1)
    assert last >= 20
    for number, after in product(range(1, last + 1), (False, True)):
        kept = Kept((number + after) % len(Kept))
        victim = run(number, after=after, kept=kept, seed=1)
        assert victim.boots == 2


@pytest.mark.long
@pytest.mark.parametrize("kept", Kept)
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_power_may_fail_at_every_operation_with_every_rest(seed: int, kept: Kept) -> None:
    for number, after in product(range(1, operations(seed) + 1), (False, True)):
        victim = run(number, after=after, kept=kept, seed=seed)
        assert victim.boots == 2


@pytest.mark.parametrize("fault", ["full", "torn", "sync"])
def test_disk_that_refuses_ends_the_service_before_a_word_and_a_later_start_goes_on(
    fault: str,
) -> None:
    """The error of a write is the end of the process: nothing is said on its strength."""
    hub = MemoryHub()
    validator = make_validators(SIZE, hub)[VICTIM]
    chain = CountedChain(validator.chain.nodes, validator.chain.own)
    files = chain.files
    victim = Victim(hub, chain, files, validator, Random(0), Kept.ALL)

    async def fail() -> None:
        with ExitStack() as stack:
            service = victim.boot(stack)
            files.failing = errno.EIO if fault == "sync" else errno.ENOSPC
            files.torn, files.fails_at_sync = fault == "torn", fault == "sync"
            with pytest.RaisesGroup(OperatingError, flatten_subgroups=True):
                await service.run()
        assert [each for each in hub.transits if each.sender == validator.key.node_id] == []
        files.failing = None
        files.lose_power(Kept.ALL, Random(0))
        with ExitStack() as stack, trio.move_on_after(2):
            await victim.boot(stack).run()
        assert [each for each in hub.transits if each.sender == validator.key.node_id]

    trio.run(fail, clock=MockClock(autojump_threshold=0))
