"""
What a node with a device does for audits: replay what it was called to, commit, open.

Miners and validators run it alike: both are drawn, and validators judge what drawn auditors could
not. Salt and report are durable before a commitment leaves, so that a crash between commitment and
opening costs nothing; a node that has lost them since replays again, which opens what it said where
its device is still the same (salts.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from potp2p.exchange.blobs import BlobExchange
from potp2p.exchange.packages import PackageFiles
from potp2p.foundation.types import BlobId, Height, NodeId
from potp2p.protocol.crypto.identity import KeyPair, account_of
from potp2p.protocol.ledger.audit_duties import AuditDuty, audit_duties
from potp2p.protocol.ledger.keys import LeasePlace, lease_key
from potp2p.protocol.verification.commitments import Contribution, LeaseKey, nudge_of
from potp2p.protocol.wire.manifests import MODEL_FILE, shard_file
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.transactions import AuditCommit, Free
from potp2p.services.chain import ChainService
from potp2p.services.drafts import AUDITS, AuditDraft, draft_name, lease_name
from potp2p.services.errands import Act, Errands, bind
from potp2p.services.outbox import OutboxService
from potp2p.services.salts import Salted, own_salt
from potp2p.storage.ports import Notebook
from potp2p.training.commands import Lease, Replay
from potp2p.training.reports import Replayed
from potp2p.workers.ports import Workers


@dataclass(slots=True)
class AuditingService:
    """Owner of the replays in work on this node."""

    keys: KeyPair
    chain: ChainService
    blobs: BlobExchange
    packages: PackageFiles
    workers: Workers
    notebook: Notebook
    outbox: OutboxService
    say: Callable[[str, str], None]
    """Log: tag and text."""
    _errands: Errands = field(init=False)

    def __post_init__(self) -> None:
        self._errands = Errands(self.chain, self.outbox, self.say)

    async def run(self) -> None:
        """Look at the audits after every block; ends by cancellation."""
        async with trio.open_nursery() as nursery:
            height = Height(-1)
            while True:
                height = await self.chain.bell.wait_above(height)
                duties = audit_duties(self.chain.state(), self.keys.node_id)
                wanted = {_name(duty): self._act(duty) for duty in duties}
                self._errands.start(wanted, nursery)

    def _act(self, duty: AuditDuty) -> Act:
        return bind(self._open if duty.revealing else self._commit, duty)

    async def _commit(self, duty: AuditDuty) -> Free:
        """Replay a contribution, once, and bind this node to what it found."""
        place = _place(duty)
        draft = await self._finding(duty, place)
        contribution = Contribution(LeaseKey(*place, duty.miner), duty.payload)
        return AuditCommit(*place, draft.commitment(self.keys.node_id, contribution))

    async def _open(self, duty: AuditDuty) -> Free:
        """Open what this node committed to."""
        place = _place(duty)
        if self._draft(place) is None:
            self.say("verify", f"what was found of {lease_name(place)} is lost: replaying again")
        return (await self._finding(duty, place)).reveal(place)

    async def _finding(self, duty: AuditDuty, place: LeasePlace) -> AuditDraft:
        """Return what is known of a contribution, or find it and keep it."""
        draft = self._draft(place)
        if draft is None:
            draft = await self._replay(duty, place)
            await self.notebook.put(draft_name(AUDITS, place), encode(draft))
        return draft

    def _draft(self, place: LeasePlace) -> AuditDraft | None:
        stored = self.notebook.get(draft_name(AUDITS, place))
        return None if stored is None else decode(AuditDraft, stored)

    async def _replay(self, duty: AuditDuty, place: LeasePlace) -> AuditDraft:
        hints = self._peers()
        payload = await self.blobs.fetch(
            BlobId(duty.payload), (*hints, duty.miner), bytes_max=duty.payload_bytes_max
        )
        contribution = Contribution(LeaseKey(*place, duty.miner), duty.payload)
        command = Replay(
            Lease(account_of(duty.miner), *place),
            duty.rules,
            str(await self.packages.file(duty.package_root, MODEL_FILE, hints)),
            str(await self.packages.theta(duty.package_root, duty.theta, hints)),
            str(await self.packages.file(duty.package_root, shard_file(duty.shard), hints)),
            str(payload),
            nudge_of(contribution, self.keys.node_id),
        )
        report = await self.workers.execute(command, device=self._device())
        assert isinstance(report, Replayed)
        self.say(
            "verify",
            f"replayed {lease_name(place)}: distance {report.distances.overall} ppm, "
            f"{report.milliseconds} ms",
        )
        return AuditDraft(
            salt=own_salt(self.keys.secret, Salted.AUDIT, lease_key(*place)),
            trace=report.trace,
            loss_before=report.loss_before,
            loss_after=report.loss_after,
            distances=report.distances,
            instability=report.instability,
        )

    def _device(self) -> int:
        """Return the device with the least to do."""
        loads = [facts.queued + (facts.busy is not None) for facts in self.workers.facts()]
        return loads.index(min(loads))

    def _peers(self) -> tuple[NodeId, ...]:
        """Return whom to ask for files: the validators."""
        nodes = self.chain.prospects.nodes
        return tuple(node for node in nodes if node != self.keys.node_id)


def _place(duty: AuditDuty) -> LeasePlace:
    return duty.task, duty.round, duty.shard


def _name(duty: AuditDuty) -> bytes:
    """Return what a duty is known by: commitment and opening, as auditor and as judge, are four."""
    kind = b"reveal/" if duty.revealing else b"audit/"
    return kind + (b"judge/" if duty.judging else b"") + lease_key(*_place(duty))
