"""
Any node as a verifier: a contribution is computed again, and judged as the chain judges it.

The comparison is the one that the state machine makes with an auditor's report, in integers. Files
come by hash from whoever has them; what they are compared with is proved under a sealed header.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from potp2p.client.contributions import Explained
from potp2p.client.session import Client
from potp2p.exchange.packages import PackageFiles
from potp2p.foundation.errors import MissingError
from potp2p.foundation.types import NodeId
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.audit_duties import payload_bytes_max
from potp2p.protocol.ledger.audit_records import Audit
from potp2p.protocol.ledger.keys import audit_key
from potp2p.protocol.ledger.receipt_records import Receipt
from potp2p.protocol.ledger.records import Claim, Task
from potp2p.protocol.verification.commitments import Contribution, Finding, LeaseKey, nudge_of
from potp2p.protocol.verification.tolerance import tolerance_of
from potp2p.protocol.verification.verdict import (
    Claims,
    Measure,
    MeasureKind,
    Verdict,
    measures_of,
    tolerances_apart,
    worst_of,
)
from potp2p.protocol.wire.manifests import MODEL_FILE, shard_file
from potp2p.protocol.wire.schema import decode
from potp2p.protocol.wire.verification import Trace
from potp2p.training.commands import Lease, Replay
from potp2p.training.reports import Replayed
from potp2p.workers.ports import Workers

TRACE_KINDS: Final = frozenset(
    {MeasureKind.TRACE_LENGTH, MeasureKind.TRACE_LOSS, MeasureKind.TRACE_NORM}
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a replay of ours says about a contribution."""

    verdict: Verdict
    decides: Measure
    """The measure behind the verdict."""
    measures: tuple[Measure, ...]
    """The worst of each kind that could be compared."""
    trace_compared: bool
    """The miner's trace is public while its audit is open and it has opened it."""
    instability: int | None
    """How far our own replays lie apart, in millionths of a tolerance; None: not measured."""
    milliseconds: int


async def judge(client: Client, workers: Workers, found: Explained, task: Task) -> Judgement:
    """
    Replay a contribution on a device of ours and compare it with what its miner claimed.

    MissingError where there is nothing to replay, or what it needs is not to be had any more.
    """
    receipt = found.receipt
    if receipt.claim is None:
        raise MissingError(f"contribution {found.place}: no claim was made, nothing to replay")
    command = await _command(client, receipt, receipt.claim, task)
    report = await workers.execute(command)
    assert isinstance(report, Replayed)
    trace = await _public_trace(client, receipt)
    claim = receipt.claim
    claims = Claims(
        # A trace that is still secret is not held against anybody: it is left out below.
        report.trace if trace is None else trace,
        claim.loss_before,
        claim.loss_after,
        claim.diverged,
    )
    replay = Finding(
        report.trace, report.loss_before, report.loss_after, report.distances, report.instability
    )
    tolerance = tolerance_of(task.rules.model.tolerance, task.rules.mode)
    measures = [
        each
        for each in measures_of(claims, replay, tolerance)
        if trace is not None or each.kind not in TRACE_KINDS
    ]
    decides = worst_of(measures)
    return Judgement(
        verdict=decides.verdict,
        decides=decides,
        measures=tuple(
            worst_of(each for each in measures if each.kind is kind)
            for kind in dict.fromkeys(each.kind for each in measures)
        ),
        trace_compared=trace is not None and not claim.diverged,
        instability=None
        if report.instability is None
        else tolerances_apart(report.instability, tolerance),
        milliseconds=report.milliseconds,
    )


async def _command(client: Client, receipt: Receipt, claim: Claim, task: Task) -> Replay:
    """Fetch everything that a replay needs; the payload first, since it goes first."""
    files, hints = PackageFiles(client.blobs), client.validators
    payload = await payload_file(client, receipt, claim, task)
    root = task.package_root
    lease = LeaseKey(receipt.task, receipt.round, receipt.shard, receipt.miner)
    return Replay(
        Lease(account_of(receipt.miner), receipt.task, receipt.round, receipt.shard),
        task.rules,
        str(await files.file(root, MODEL_FILE, hints)),
        str(await files.theta(root, receipt.theta, hints)),
        str(await files.file(root, shard_file(receipt.shard), hints)),
        str(payload),
        nudge_of(Contribution(lease, claim.payload), client.keys.node_id),
    )


async def payload_file(client: Client, receipt: Receipt, claim: Claim, task: Task) -> Path:
    """Return a contribution's payload; MissingError says why nobody may have it any more."""
    hints: tuple[NodeId, ...] = (*client.validators, receipt.miner)
    try:
        return await client.blobs.fetch(
            claim.payload, hints, bytes_max=payload_bytes_max(task.rules)
        )
    except MissingError as error:
        settled = receipt.height
        why = (
            f"its round was settled at height {settled}, and payloads are kept only until then"
            if settled
            else "no connected peer serves it now"
        )
        raise MissingError(
            f"payload {claim.payload.hex()[:16]} of round {receipt.round} shard {receipt.shard} "
            f"is not to be had: {why}"
        ) from error


async def _public_trace(client: Client, receipt: Receipt) -> Trace | None:
    """Return the miner's trace where it stands on the chain."""
    place = (receipt.task, receipt.round, receipt.shard)
    value = (await client.query(audit_key(*place))).value
    return None if value is None else decode(Audit, value).trace
