"""
What a validator does for tasks: hold packages and payloads, attest, aggregate.

Duties are read anew from the state after each block, and each is carried by a trio task of its own
until it is done or leaves the state. What binds us later (a result and its salt) is durable before
it leaves. Replays are `auditing.py`, on miners too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import trio

from potp2p.exchange.blobs import BlobExchange
from potp2p.exchange.packages import PackageFiles
from potp2p.foundation.errors import OperatingError, PeerError
from potp2p.foundation.limits import INSPECT_SECONDS
from potp2p.foundation.types import Height, NodeId, Round, ShardIndex, TaskId
from potp2p.protocol.crypto.identity import KeyPair, account_of
from potp2p.protocol.ledger.contributions import bitmap_of
from potp2p.protocol.ledger.duties import (
    AttestDuty,
    ClaimedLease,
    PackageDuty,
    ResultDuty,
    ValidatorDuties,
    validator_duties,
)
from potp2p.protocol.ledger.keys import lease_key, round_key
from potp2p.protocol.wire.manifests import (
    EVALUATION_FILE,
    INITIAL_FILE,
    MODEL_FILE,
    shard_file,
)
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.transactions import (
    Anchor,
    Attest,
    AttestPackage,
    Free,
    RoundResult,
)
from potp2p.services.beacons import BeaconChain
from potp2p.services.chain import ChainService
from potp2p.services.drafts import (
    ResultDraft,
    lease_name,
    result_name,
)
from potp2p.services.errands import Act, Errands, bind
from potp2p.services.outbox import OutboxService
from potp2p.services.salts import Salted, own_salt
from potp2p.storage.ports import Notebook, Scratch
from potp2p.training.commands import Aggregate, CheckPayload, Inspect, Lease
from potp2p.training.reports import Aggregated, Checked, Inspected, Progress
from potp2p.workers.ports import Workers

Claimant = tuple[TaskId, Round, ShardIndex, NodeId]
"""Whose payload for which lease."""


@dataclass(slots=True)
class JudgingService:
    """Owner of the validator duties in work on this node."""

    keys: KeyPair
    chain: ChainService
    beacons: BeaconChain
    blobs: BlobExchange
    packages: PackageFiles
    workers: Workers
    notebook: Notebook
    outbox: OutboxService
    scratch: Scratch
    say: Callable[[str, str], None]
    """Log: tag and text."""
    _sound: dict[Claimant, bool] = field(default_factory=dict[Claimant, bool])
    """Payloads held here: acceptable or not."""
    _errands: Errands = field(init=False)

    def __post_init__(self) -> None:
        self._errands = Errands(self.chain, self.outbox, self.say)

    async def run(self) -> None:
        """Look at the duties after every block; ends by cancellation."""
        async with trio.open_nursery() as nursery:
            height = Height(-1)
            while True:
                height = await self.chain.bell.wait_above(height)
                duties = validator_duties(
                    self.chain.state(), self.keys.node_id, self.chain.ledger.genesis
                )
                if duties.anchor is not None:
                    anchor = self.beacons.anchor(duties.anchor)
                    self.outbox.say(Anchor(duties.anchor, anchor))
                self._forget(duties)
                self._errands.start(self._wanted(duties), nursery)

    def _forget(self, duties: ValidatorDuties) -> None:
        """Drop what was found about payloads of rounds that are attested or over."""
        rounds = {(duty.task, duty.round) for duty in duties.attests}
        for place in [place for place in self._sound if place[:2] not in rounds]:
            del self._sound[place]

    def _wanted(self, duties: ValidatorDuties) -> dict[bytes, Act]:
        """Name every duty by what it is about; the same name is not started twice."""
        wanted: dict[bytes, Act] = {}
        for package in duties.packages:
            wanted[b"package/" + package.task] = bind(self._judge_package, package)
        for attest in duties.attests:
            place = round_key(attest.task, attest.round)
            for claimed in attest.claimed:
                lease = lease_key(attest.task, attest.round, claimed.shard)
                wanted[b"payload/" + claimed.miner + lease] = bind(
                    self._hold_payload, (attest, claimed)
                )
            if attest.claims_ended:
                # A fuller bitmap is another duty, whether the last one stands or a rival leaves it
                # out of its blocks: the window has no room to wait for two in turn.
                said = max(len(attest.attested), self._known_sound(attest)).to_bytes(2, "big")
                wanted[b"attest/" + said + place] = bind(self._attest, attest)
        for result in duties.results:
            place = round_key(result.task, result.round)
            # A result in work goes on when commitments end; one that is known is shown at once.
            known = result.revealing and self._result(result) is not None
            kind = b"showing/" if known else b"result/"
            wanted[kind + place] = bind(self._say_result, result)
        return wanted

    def _peers(self, *first: NodeId) -> tuple[NodeId, ...]:
        """Return whom to ask for a file: those named, then the other validators."""
        others = (*first, *self.chain.prospects.nodes)
        return tuple(node for node in dict.fromkeys(others) if node != self.keys.node_id)

    async def _judge_package(self, duty: PackageDuty) -> Free:
        """Fetch a whole package, check it in a worker and say whether it can be judged here."""
        hints = self._peers(duty.client)
        try:
            await self.packages.fetch_all(duty.package_root, duty.rules, hints)
            # From now on the package can be had here, also when its client has gone.
            await self.blobs.directory.provide(duty.package_root)
            fault = await self._inspect(duty, hints)
        except PeerError as error:
            fault = error.detail
        if fault is not None:
            self.say("task", f"{duty.task.hex()[:8]} refused: {fault}")
        return AttestPackage(duty.task, fits=fault is None)

    async def _inspect(self, duty: PackageDuty, hints: tuple[NodeId, ...]) -> str | None:
        files = [
            await self.packages.file(duty.package_root, shard_file(index), hints)
            for index in range(duty.rules.rounds.shards)
        ]
        command = Inspect(
            duty.rules,
            str(await self.packages.file(duty.package_root, MODEL_FILE, hints)),
            str(await self.packages.file(duty.package_root, INITIAL_FILE, hints)),
            tuple(str(path) for path in files),
            str(await self.packages.file(duty.package_root, EVALUATION_FILE, hints)),
            calibrate=True,
        )
        needed = duty.rules.model.memory_bytes
        has = self.workers.facts()[0].memory_bytes
        if has is not None and has < needed:
            return f"needs {needed} bytes of memory, the device has {has}"
        return await self._run_inspection(command)

    async def _run_inspection(self, command: Inspect) -> str | None:
        """
        Return what is wrong with a package; nothing it does to our device gets it another try.

        The clock starts with the command, not in the queue: an honest package does not pay for
        what goes before it. A device that never began it says nothing about it: OperatingError.
        """
        with trio.CancelScope() as scope:

            def begin(_progress: Progress) -> None:
                scope.deadline = min(scope.deadline, trio.current_time() + INSPECT_SECONDS)

            try:
                report = await self.workers.execute(command, begin)
            except OperatingError as error:
                if scope.deadline == inf:
                    raise
                return f"cannot be inspected: {error}"
            assert isinstance(report, Inspected)
            return report.fault
        return f"not inspected within {INSPECT_SECONDS:g} s"

    async def _hold_payload(self, duty_and_claim: tuple[AttestDuty, ClaimedLease]) -> None:
        """Fetch one claimed payload, keep it, and check what needs no other payload."""
        duty, claimed = duty_and_claim
        place = (duty.task, duty.round, claimed.shard)
        known = (*place, claimed.miner)
        if known in self._sound:
            return
        hints = self._peers()
        try:
            payload = await self.blobs.fetch(
                claimed.payload, self._peers(claimed.miner), bytes_max=duty.payload_bytes_max
            )
        except PeerError as error:
            # Its manifest is the claim's and too large: no other peer has a better one.
            self.say("verify", f"payload {lease_name(place)} refused: {error.detail}")
            self._sound[known] = False
            return
        self.blobs.store.pin(claimed.payload)
        theta = await self.packages.theta(duty.package_root, duty.theta, hints)
        lease = Lease(account_of(claimed.miner), *place)
        command = CheckPayload(
            lease, duty.rules, str(theta), str(payload), diverged=claimed.diverged
        )
        report = await self.workers.execute(command)
        assert isinstance(report, Checked)
        if report.fault is not None:
            self.say("verify", f"payload {lease_name(place)} refused: {report.fault}")
        self._sound[known] = report.fault is None

    async def _attest(self, duty: AttestDuty) -> Free:
        """
        Return a bitmap that says more than the last one.

        The first waits until every payload was looked at or half the window is over; payloads that
        come later are attested by a later one, so a slow fetch costs no honest miner its lease.
        """
        half = _half_time(duty)
        while True:
            looked_at = [
                self._sound.get((duty.task, duty.round, each.shard, each.miner))
                for each in duty.claimed
            ]
            complete = None not in looked_at or self.chain.head.height >= half
            sound = {
                duty.rows.index((each.shard, each.miner))
                for each, fit in zip(duty.claimed, looked_at, strict=True)
                if fit
            }
            if complete and sound > set(duty.attested):
                return Attest(duty.task, duty.round, bitmap_of(tuple(sorted(sound))))
            await self.chain.bell.wait_above(self.chain.head.height)

    def _known_sound(self, duty: AttestDuty) -> int:
        """Return how many payloads may be attested by now; the first bitmap waits for half time."""
        if self.chain.head.height < _half_time(duty):
            return 0
        places = ((duty.task, duty.round, each.shard, each.miner) for each in duty.claimed)
        return sum(self._sound.get(place, False) for place in places)

    async def _say_result(self, duty: ResultDuty) -> Free:
        """Compute a round's result once, commit to it, and show it when commitments have ended."""
        draft = self._result(duty)
        if draft is None:
            draft = ResultDraft(await self._compute_result(duty))
            await self.notebook.put(result_name(duty.task, duty.round), encode(draft))
            # A sweep before the note was durable has let go of it.
            self.blobs.store.pin(draft.result.root)
        if duty.revealing:
            return draft.result
        return draft.commitment(self.keys.node_id)

    def _result(self, duty: ResultDuty) -> ResultDraft | None:
        stored = self.notebook.get(result_name(duty.task, duty.round))
        return None if stored is None else decode(ResultDraft, stored)

    async def _compute_result(self, duty: ResultDuty) -> RoundResult:
        """Compute theta(t+1) from the round's set, serve it and return what to show of it."""
        hints = self._peers()
        payloads = [
            # f+1 validators attested that they hold it; a miner may have stopped serving since.
            await self.blobs.fetch(
                claimed.payload, (*hints, claimed.miner), bytes_max=duty.payload_bytes_max
            )
            for claimed in duty.accepted
        ]
        with self.scratch.lend(f"{duty.task.hex()}-{duty.round}.safetensors") as result:
            command = Aggregate(
                duty.rules,
                duty.task,
                duty.round,
                str(await self.packages.file(duty.package_root, MODEL_FILE, hints)),
                str(await self.packages.theta(duty.package_root, duty.theta, hints)),
                tuple(str(path) for path in payloads),
                str(result),
                str(await self.packages.file(duty.package_root, EVALUATION_FILE, hints)),
                tuple(claimed.height for claimed in duty.accepted),
            )
            report = await self.workers.execute(command)
            assert isinstance(report, Aggregated)
            root = await self.blobs.publish(result)
        loss = report.evaluation_loss / 1e6
        self.say("task", f"{duty.task.hex()[:8]} round {duty.round} done, loss {loss:.4f}")
        return RoundResult(
            task=duty.task,
            round=duty.round,
            salt=own_salt(self.keys.secret, Salted.RESULT, round_key(duty.task, duty.round)),
            root=root,
            evaluation_loss=report.evaluation_loss,
            flagged=bitmap_of(report.flagged),
            dropped=bitmap_of(report.dropped),
        )


def _half_time(duty: AttestDuty) -> Height:
    """Return the height from which payloads that are still missing are not waited for."""
    return Height(duty.phase_started + duty.rules.rounds.attest_window // 2)
