"""What stands about a lease of an open round, put together from its records."""

from bisect import bisect_left
from typing import Final

from potp2p.foundation.types import Amount, Height, PartsPerMillion, ShardIndex
from potp2p.protocol.ledger.audit_records import Audit, AuditorRecord
from potp2p.protocol.ledger.findings import report_measure
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.receipt_records import AuditReceipt, Receipt, ReceiptKind, ReportLine
from potp2p.protocol.ledger.records import LeaseRecord, LeaseStatus, RoundRecord
from potp2p.protocol.verification.tolerance import tolerance_of
from potp2p.protocol.verification.verdict import tolerances_apart
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.fields import PPM_BOUND
from potp2p.protocol.wire.tasks import TaskRules

KIND_OF: Final = {
    LeaseStatus.PASSED: ReceiptKind.PAID,
    LeaseStatus.MISSED: ReceiptKind.MISSED,
    LeaseStatus.VOID: ReceiptKind.VOID,
    LeaseStatus.REJECTED: ReceiptKind.REJECTED,
}

MEASURED_MAX: Final = PPM_BOUND - 1
"""What a receipt can say: a trace may lie further off, which is no worse."""


def story_of(  # noqa: PLR0913  # all the records of one lease
    place: LeasePlace,
    rules: TaskRules,
    record: RoundRecord,
    lease: LeaseRecord,
    audit: Audit | None,
    judges: int,
) -> Receipt:
    """Return the receipt as it would be now; the settlement adds height and money."""
    task, round_, shard = place
    return Receipt(
        task=task,
        round=round_,
        shard=shard,
        miner=lease.miner,
        kind=KIND_OF.get(lease.status, ReceiptKind.VOID),
        paid=Amount(0),
        bonded=Amount(0),
        score=lease.score,
        weight=lease.weight,
        audited=lease.audited,
        probability=lease.probability,
        status=lease.status,
        theta=record.theta,
        started=record.started,
        fixed=record.fixed,
        attested=_attested(record, shard),
        judges=judges,
        flagged=shard in record.flagged,
        dropped=shard in record.dropped,
        claim=lease.claim,
        fines=lease.fines,
        beaten=lease.beaten,
        audit=None if audit is None else _audit(audit, lease, rules),
        height=Height(0),
    )


def _attested(record: RoundRecord, shard: ShardIndex) -> int:
    """Count who attested the claim of a lease; a settlement asks for each of a thousand."""
    place = bisect_left(record.leases, shard, key=lambda row: row.shard)
    byte, bit = divmod(place, 8)
    return sum(
        byte < len(each.bitmap) and bool(each.bitmap[byte] >> bit & 1)
        for each in record.attestations
    )


def _audit(audit: Audit, lease: LeaseRecord, rules: TaskRules) -> AuditReceipt:
    def lines(callees: tuple[AuditorRecord, ...]) -> tuple[ReportLine, ...]:
        return tuple(_line(audit, each, lease, rules) for each in callees)

    return AuditReceipt(
        reason=audit.reason,
        phase=audit.phase,
        deadline=audit.deadline,
        auditors=lines(audit.auditors),
        judges=lines(audit.judges),
        escalation=audit.escalation,
        challenge=audit.challenge,
        opened=audit.trace is not None,
        provisional=audit.provisional,
        final=audit.final,
        drawn=audit.drawn,
        revealed=audit.revealed,
        ruled=audit.ruled,
        escalated=audit.escalated,
        closed=audit.closed,
        penalty=audit.penalty,
        liars=audit.liars,
    )


def _line(audit: Audit, callee: AuditorRecord, lease: LeaseRecord, rules: TaskRules) -> ReportLine:
    measure = report_measure(audit, callee, lease, rules)
    instability = None if callee.report is None else callee.report.instability
    tolerance = tolerance_of(rules.model.tolerance, rules.mode)
    apart = 0 if instability is None else tolerances_apart(instability, tolerance)
    return ReportLine(
        auditor=callee.auditor,
        conduct=callee.conduct,
        committed=callee.commitment != NO_DIGEST,
        verdict=None if measure is None else measure.verdict,
        measure=None if measure is None else measure.kind,
        measured=PartsPerMillion(0 if measure is None else min(measure.measured, MEASURED_MAX)),
        tolerance=PartsPerMillion(0 if measure is None else measure.tolerance),
        excused=measure is not None and measure.is_excused,
        instability=PartsPerMillion(apart),
        paid=Amount(0),
    )
