"""Receipts of every kind, for tests of what is said about them."""

from dataclasses import replace

from potp2p.foundation.types import (
    POT,
    Amount,
    BlobId,
    Digest,
    Height,
    MicroNats,
    NodeId,
    PartsPerMillion,
    Round,
    ShardIndex,
    TaskId,
)
from potp2p.protocol.ledger.audit_records import (
    AuditPhase,
    AuditReason,
    Conduct,
    Escalation,
    Penalty,
)
from potp2p.protocol.ledger.receipt_records import AuditReceipt, Receipt, ReceiptKind, ReportLine
from potp2p.protocol.ledger.records import Claim, LeaseStatus
from potp2p.protocol.verification.verdict import MeasureKind, Verdict
from tests.doubles.ledger_world import key_pair

MINER, AUDITOR, OTHER = (key_pair(name).node_id for name in ("miner", "auditor", "other"))
CLAIM = Claim(
    payload=BlobId(Digest(b"\x0a" * 32)),
    trace_commitment=Digest(b"\x0b" * 32),
    samples=64,
    loss_before=MicroNats(2_300_000),
    loss_after=MicroNats(2_100_000),
    diverged=False,
    height=Height(410),
)
PAID = Receipt(
    task=TaskId(Digest(b"\x0c" * 32)),
    round=Round(3),
    shard=ShardIndex(5),
    miner=MINER,
    kind=ReceiptKind.PAID,
    paid=Amount(POT),
    bonded=Amount(0),
    score=Amount(7),
    weight=Amount(POT),
    audited=False,
    probability=PartsPerMillion(120_000),
    status=LeaseStatus.PASSED,
    theta=BlobId(Digest(b"\x0d" * 32)),
    started=Height(400),
    fixed=Height(420),
    attested=4,
    judges=4,
    flagged=False,
    dropped=False,
    claim=CLAIM,
    fines=(),
    beaten=None,
    audit=None,
    height=Height(512),
)


def line(
    verdict: Verdict | None,
    *,
    who: NodeId = AUDITOR,
    kind: MeasureKind = MeasureKind.OVERALL,
    conduct: Conduct = Conduct.CALLED,
) -> ReportLine:
    measured = {None: 0, Verdict.PASS: 20, Verdict.VOID: 2_000, Verdict.FAIL: 41_000}[verdict]
    return ReportLine(
        auditor=who,
        conduct=conduct,
        committed=conduct is not Conduct.ABSENT,
        verdict=verdict,
        measure=None if verdict is None else kind,
        measured=PartsPerMillion(measured),
        tolerance=PartsPerMillion(0 if kind is MeasureKind.EXPONENTS else 1_000),
        excused=False,
        instability=PartsPerMillion(0),
        paid=Amount(0),
    )


def audit(*lines: ReportLine, final: Verdict | None) -> AuditReceipt:
    return AuditReceipt(
        reason=AuditReason.DRAWN,
        phase=AuditPhase.COMMIT if final is None else AuditPhase.FINAL,
        deadline=Height(470),
        auditors=lines,
        judges=(),
        escalation=None,
        challenge=None,
        opened=True,
        provisional=final,
        final=final,
        drawn=Height(430),
        revealed=Height(440),
        ruled=Height(450),
        escalated=Height(0),
        closed=Height(490),
        penalty=None,
        liars=None,
    )


MISSED = replace(PAID, kind=ReceiptKind.MISSED, status=LeaseStatus.MISSED, paid=Amount(0))
VOID = replace(PAID, kind=ReceiptKind.VOID, status=LeaseStatus.VOID, paid=Amount(0))
FAILED = audit(line(Verdict.FAIL), final=Verdict.FAIL)
REJECTED = replace(
    PAID,
    kind=ReceiptKind.REJECTED,
    status=LeaseStatus.REJECTED,
    paid=Amount(0),
    audited=True,
    audit=replace(
        FAILED,
        penalty=Penalty(Amount(20 * POT), Amount(10 * POT), (AUDITOR,), Amount(POT)),
    ),
)
SILENT = replace(FAILED, opened=False, auditors=(line(None),))
SPLIT = replace(
    audit(line(Verdict.PASS), line(Verdict.FAIL, who=OTHER), final=Verdict.VOID),
    judges=(line(Verdict.PASS), line(Verdict.FAIL, who=OTHER)),
    escalation=Escalation.SPLIT,
    escalated=Height(455),
)
