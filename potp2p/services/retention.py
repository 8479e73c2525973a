"""
What may be forgotten: files and notes that no open round, task or audit needs any more.

Until a contribution's audit window has closed its attesters keep theta(t), payload and shard
(DESIGN section 6); after that the quota of the blob store decides.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from potp2p.exchange.packages import PackageFiles
from potp2p.foundation.types import BlobId, Height, Round, ShardIndex, TaskId
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.state import State
from potp2p.protocol.wire.schema import decode
from potp2p.services.chain import ChainService
from potp2p.services.drafts import (
    AUDITS,
    CONTRIBUTIONS,
    RESULTS,
    ContributionDraft,
    ResultDraft,
    place_of,
    round_of,
)
from potp2p.storage.ports import BlobStore, Notebook


@dataclass(slots=True)
class RetentionService:
    """Unpins and forgets once per cycle; owns nothing."""

    chain: ChainService
    store: BlobStore
    packages: PackageFiles
    notebook: Notebook
    cycle_blocks: int

    async def run(self) -> None:
        """Sweep after every cycle; ends by cancellation."""
        while True:
            await self.chain.bell.wait_above(Height(self.chain.head.height + self.cycle_blocks))
            await self.sweep()

    async def sweep(self) -> None:
        """Forget what nothing refers to."""
        state = self.chain.state()
        stale = [
            name
            for prefix in (CONTRIBUTIONS, AUDITS)
            for name in self.notebook.names(prefix)
            if _is_over(state, place_of(prefix, name))
        ]
        stale += [
            name for name in self.notebook.names(RESULTS) if _has_result(state, round_of(name))
        ]
        if stale:
            await self.notebook.remove(stale)
        wanted = set(self._wanted(state))
        for blob in self.store.pinned():
            if blob not in wanted:
                self.store.unpin(blob)

    def _wanted(self, state: State) -> Iterator[BlobId]:
        for name in self.notebook.names(CONTRIBUTIONS):
            note = self.notebook.get(name)
            if note is not None:
                yield decode(ContributionDraft, note).payload
        for name in self.notebook.names(RESULTS):
            # Until it is shown the state does not name it.
            note = self.notebook.get(name)
            if note is not None:
                yield decode(ResultDraft, note).result.root
        for task_id in (*state.chain().tasks, *state.chain().unsettled):
            task = state.task(task_id)
            yield from self.packages.blobs_of(task.package_root)
            yield from (task.theta, task.best)
            for round_ in task.open_rounds:
                yield from _round_blobs(state, task_id, round_)


def _round_blobs(state: State, task: TaskId, round_: Round) -> Iterator[BlobId]:
    record = state.round(task, round_)
    yield record.theta
    yield from (vote.root for vote in record.results)
    yield from (each.claim.payload for each in record.stand_ins if each.claim is not None)
    for row in record.leases:
        lease = state.find_lease(task, round_, row.shard)
        if lease is not None and lease.claim is not None:
            yield lease.claim.payload


def _has_result(state: State, place: tuple[TaskId, Round]) -> bool:
    """Tell whether a round takes no result any more: it is past, or its task is."""
    task_id, round_ = place
    task = state.find_task(task_id)
    return task is None or task.round > round_ or round_ not in task.open_rounds


def _is_over(state: State, place: LeasePlace) -> bool:
    """Tell whether a lease is settled: its record is gone and its round is not still to come."""
    task_id, round_, shard = place
    task = state.find_task(task_id)
    if state.find_lease(task_id, round_, ShardIndex(shard)) is not None:
        return False
    return task is None or round_ not in task.open_rounds
