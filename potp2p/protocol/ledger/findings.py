"""What an opened report amounts to, and whether it contradicts a final verdict."""

from typing import Final

from potp2p.protocol.ledger.audit_records import Audit, AuditorRecord
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.records import LeaseRecord
from potp2p.protocol.ledger.state import State
from potp2p.protocol.verification.tolerance import tolerance_of
from potp2p.protocol.verification.verdict import Claims, Measure, Verdict, measures_of, worst_of
from potp2p.protocol.wire.tasks import TaskRules

OPPOSITE: Final = {Verdict.PASS: Verdict.FAIL, Verdict.FAIL: Verdict.PASS}
"""What a lie about a final verdict says; void contradicts nobody."""


def report_verdict(
    state: State, place: LeasePlace, audit: Audit, callee: AuditorRecord
) -> Verdict | None:
    """Return what a report amounts to; None without one, or without a trace to hold it to."""
    measure = report_measure(audit, callee, state.lease(*place), state.task(place[0]).rules)
    return None if measure is None else measure.verdict


def calls_unstable(
    state: State, place: LeasePlace, audit: Audit, callees: tuple[AuditorRecord, ...]
) -> int:
    """Count the reports that would be failures, were their auditors' own replays not apart."""
    lease, rules = state.lease(*place), state.task(place[0]).rules
    measures = (report_measure(audit, each, lease, rules) for each in callees)
    return sum(measure is not None and measure.is_excused for measure in measures)


def report_measure(
    audit: Audit, callee: AuditorRecord, lease: LeaseRecord, rules: TaskRules
) -> Measure | None:
    """Return the measure that decides what a report amounts to."""
    claim = lease.claim
    assert claim is not None, "only contributions are audited"
    if callee.report is None or audit.trace is None:
        return None
    claims = Claims(audit.trace, claim.loss_before, claim.loss_after, claim.diverged)
    tolerance = tolerance_of(rules.model.tolerance, rules.mode)
    return worst_of(measures_of(claims, callee.report, tolerance))


def is_lie(
    state: State, place: LeasePlace, audit: Audit, callee: AuditorRecord, verdict: Verdict
) -> bool:
    """Tell whether a report says the opposite of a final verdict."""
    found = report_verdict(state, place, audit, callee)
    return found is not None and OPPOSITE.get(verdict) is found
