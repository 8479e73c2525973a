"""
What a miner does: take its leases, train them, claim the results, open traces when audited.

Everything a claim rests on (payload, salt, trace) is durable before the claim leaves, so that a
crash between claim and audit does not turn an honest miner into one that cannot reveal. Where a
disk was put back from before a claim, the lease is trained again: on the same device that gives the
same payload and trace, and the salt is made from the key (salts.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from potp2p.exchange.blobs import BlobExchange
from potp2p.exchange.packages import PackageFiles
from potp2p.foundation.errors import OperatingError, PeerError
from potp2p.foundation.types import Cycle, Height
from potp2p.observability.status import LeaseStatusLine
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.ledger.duties import LeaseDuty, MinerDuties, miner_duties
from potp2p.protocol.ledger.keys import LeasePlace, lease_key
from potp2p.protocol.ledger.stamp import NO_STAMP, is_of_now
from potp2p.protocol.ledger.stand_ins import held_by
from potp2p.protocol.wire.manifests import MODEL_FILE, shard_file
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.transactions import Challenge, Ready, RegisterMiner
from potp2p.services.chain import ChainService
from potp2p.services.drafts import (
    CONTRIBUTIONS,
    ContributionDraft,
    draft_name,
    lease_name,
    place_of,
)
from potp2p.services.outbox import OutboxService
from potp2p.services.registration import Registrar
from potp2p.services.salts import Salted, own_salt
from potp2p.storage.ports import Notebook, Scratch
from potp2p.training.commands import Lease, Train
from potp2p.training.reports import Progress, Trained
from potp2p.workers.ports import Workers

RETRY_SECONDS = 2.0
"""After a fetch or a worker failed, before the lease is tried again."""


@dataclass(slots=True)
class _Work:
    """One lease in work."""

    key: LeasePlace
    duty: LeaseDuty
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    stage: str = "waiting"
    progress: Progress | None = None

    def line(self) -> LeaseStatusLine:
        """Return the lease as status shows it."""
        progress = self.progress
        loss = None if progress is None or progress.loss is None else progress.loss / 1e6
        return LeaseStatusLine(
            task=self.key[0].hex(),
            round=self.key[1],
            shard=self.key[2],
            stage=self.stage,
            step=None if progress is None else progress.step,
            steps=None if progress is None else progress.steps,
            loss=loss,
            deadline_height=self.duty.deadline,
        )


@dataclass(slots=True)
class MiningService:
    """Owner of the leases in work on this node."""

    keys: KeyPair
    chain: ChainService
    blobs: BlobExchange
    packages: PackageFiles
    workers: Workers
    notebook: Notebook
    outbox: OutboxService
    registrar: Registrar
    scratch: Scratch
    say: Callable[[str, str], None]
    """Log: tag and text."""
    _works: dict[LeasePlace, _Work] = field(default_factory=dict[LeasePlace, _Work])
    _offer: RegisterMiner | None = None

    def __post_init__(self) -> None:
        """Withhold again what a crash left between training and the block with its claim."""
        state = self.chain.state()
        for name in self.notebook.names(CONTRIBUTIONS):
            key = place_of(CONTRIBUTIONS, name)
            held, draft = held_by(state, self.keys.node_id, key), self._draft(key)
            if held is not None and held.claim is None and draft is not None:
                self.blobs.hold_back(draft.payload)

    async def run(self) -> None:
        """Look at the duties after every block; ends by cancellation."""
        async with trio.open_nursery() as nursery:
            height = Height(-1)
            while True:
                height = await self.chain.bell.wait_above(height)
                await self._look(nursery)

    def lines(self) -> tuple[LeaseStatusLine, ...]:
        """Return the leases in work, for status."""
        return tuple(work.line() for work in self._works.values())

    async def _look(self, nursery: trio.Nursery) -> None:
        duties = miner_duties(self.chain.state(), self.keys.node_id)
        known = self.chain.state().miner(self.keys.account)
        if duties.register or (known is not None and not self.registrar.is_told(known)):
            # Also after a restart with another payout, price or name.
            if self._offer is None or not is_of_now(self._offer.stamp, self._cycle()):
                last = NO_STAMP if known is None else known.stamp
                self._offer = await self.registrar.offer(last, self._cycle)
            self.outbox.say(self._offer)
        if duties.ready is not None:
            self.outbox.say(Ready(duties.ready))
        for key in duties.reveals:
            draft = self._draft(key)
            if draft is not None:
                self.outbox.say(draft.reveal(key))
        for key in duties.recourses:
            # We know that we trained it: all judges shall see for themselves.
            if self._draft(key) is not None:
                self.outbox.say(Challenge(*key, expects_fail=False))
        wanted = {_place(duty): duty for duty in (*duties.leases, *self._forgotten(duties))}
        for key, work in list(self._works.items()):
            if key not in wanted and work.stage != "claiming":
                work.scope.cancel()
        for key, duty in wanted.items():
            if key not in self._works:
                work = self._works[key] = _Work(key, duty)
                nursery.start_soon(self._attend, work)

    def _forgotten(self, duties: MinerDuties) -> list[LeaseDuty]:
        """Return own claims that stand on the chain and that this disk knows nothing of."""
        return [
            duty
            for duty in duties.claimed
            if self.notebook.get(draft_name(CONTRIBUTIONS, _place(duty))) is None
        ]

    def _cycle(self) -> Cycle:
        return self.chain.state().chain().cycle

    def _draft(self, key: LeasePlace) -> ContributionDraft | None:
        """Return what opens a claim of ours, or will be one; None for what opens nothing."""
        stored = self.notebook.get(draft_name(CONTRIBUTIONS, key))
        draft = None if stored is None else decode(ContributionDraft, stored)
        return draft if draft is not None and self._is_ours(key, draft) else None

    async def _attend(self, work: _Work) -> None:
        """Carry one lease to its claim; cancelled when the chain no longer asks for it."""
        with work.scope:
            draft = self._draft(work.key)
            while draft is None:
                try:
                    draft = await self._train(work)
                except (OperatingError, PeerError) as error:
                    self.say("miner", f"lease {lease_name(work.key)} waits: {error}")
                    await trio.sleep(RETRY_SECONDS)
            work.stage = "claiming"
            await self._claim(work.key, draft)
        del self._works[work.key]

    async def _train(self, work: _Work) -> ContributionDraft:
        task, round_, shard = work.key
        duty = work.duty
        hints = tuple(node for node in self.chain.prospects.nodes if node != self.keys.node_id)
        work.stage = "fetching"
        model = await self.packages.file(duty.package_root, MODEL_FILE, hints)
        data = await self.packages.file(duty.package_root, shard_file(shard), hints)
        theta = await self.packages.theta(duty.package_root, duty.theta, hints)
        work.stage = "training"

        def note(progress: Progress) -> None:
            work.progress = progress

        lease = Lease(self.keys.account, task, round_, shard)
        with self.scratch.lend(f"{task.hex()}-{round_}-{shard}.payload") as payload:
            command = Train(lease, duty.rules, str(model), str(theta), str(data), str(payload))
            report = await self.workers.execute(command, progress=note, device=self._device())
            assert isinstance(report, Trained)
            # Nobody may copy a payload before its claim stands: it is served only from then on.
            blob = await self.blobs.withhold(payload)
        draft = ContributionDraft(
            payload=blob,
            salt=own_salt(self.keys.secret, Salted.TRACE, lease_key(*work.key)),
            trace=report.trace,
            samples=report.samples,
            loss_before=report.loss_before,
            loss_after=report.loss_after,
            diverged=report.diverged,
        )
        await self.notebook.put(draft_name(CONTRIBUTIONS, work.key), encode(draft))
        # A sweep before the note was durable has let go of it.
        self.blobs.store.pin(blob)
        self.say("miner", f"trained {lease_name(work.key)} in {report.milliseconds} ms")
        return draft

    def _is_ours(self, key: LeasePlace, draft: ContributionDraft) -> bool:
        """Tell whether a draft opens what this node claimed for a lease, if it did."""
        held = held_by(self.chain.state(), self.keys.node_id, key)
        if held is None or held.claim is None:
            return True
        return held.claim.trace_commitment == draft.claim(self.keys.node_id, key).trace_commitment

    def _device(self) -> int:
        """Return the device with the least to do."""
        loads = [facts.queued + (facts.busy is not None) for facts in self.workers.facts()]
        return loads.index(min(loads))

    async def _claim(self, key: LeasePlace, draft: ContributionDraft) -> None:
        """Say the claim until it stands on the chain, then serve its payload."""
        height = Height(-1)
        while True:
            held = held_by(self.chain.state(), self.keys.node_id, key)
            if held is None:
                return
            if held.claim is not None:
                if not self._is_ours(key, draft):
                    self.say("miner", f"claim {lease_name(key)} is not what was trained here now")
                    return
                break
            if not held.may_claim:
                self.say("miner", f"claim {lease_name(key)} came too late")
                return
            self.outbox.say(draft.claim(self.keys.node_id, key))
            height = await self.chain.bell.wait_above(height)
        self.blobs.release(draft.payload)
        self.say("miner", f"claim {lease_name(key)} stands")


def _place(duty: LeaseDuty) -> LeasePlace:
    return duty.task, duty.round, duty.shard
