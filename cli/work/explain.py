"""Explanations of contributions."""

from collections.abc import Sequence
from typing import Final

import trio

from cli.output import print_document, print_lines, say
from cli.work.identity import Access, client_of, node_account, read_address
from potp2p.client.contributions import (
    Explained,
    PlaceName,
    explained,
    explained_of_miner,
    place_of,
    read_place,
)
from potp2p.foundation.amounts import format_amount
from potp2p.foundation.types import AccountId
from potp2p.observability.outcomes import (
    address,
    finding,
    outcome_for,
    outcome_of,
    report,
    steps_of,
)
from potp2p.protocol.ledger.audit_records import ChallengeRecord, Penalty
from potp2p.protocol.ledger.receipt_records import AuditReceipt, ReportLine
from potp2p.protocol.ledger.records import Claim
from potp2p.protocol.ledger.round_records import Beaten, Fine

SCHEMA: Final = "potp2p.contribution/1"

Document = dict[str, object]


def explain_contribution(access: Access, text: str, *, json_output: bool) -> None:
    """Print one contribution."""
    found = trio.run(_explain, access, read_place(text))
    if json_output:
        print_document(contribution_document(found))
    else:
        print_lines(*contribution_text(found))


async def _explain(access: Access, name: PlaceName) -> Explained:
    async with client_of(access) as client:
        return await explained(client, await place_of(client, name))
    raise AssertionError("the client's context returns or raises")


def explain_miner(access: Access, text: str | None, last: int, *, json_output: bool) -> None:
    """Print a line for each contribution of a miner."""
    account = node_account(access, "ADDRESS") if text is None else read_address(text)
    rows = trio.run(_explain_miner, access, account, last)
    if json_output:
        documents = [contribution_document(each) for each in rows]
        print_document({"schema": "potp2p.contributions/1", "contributions": documents})
        return
    for each in rows:
        print_lines(f"{each.place}  {outcome_for(each.receipt, account).text}")
    if not rows:
        say("no contribution of this miner is open, and no peer lists a settled one")
    elif any(each.is_settled for each in rows):
        say("settled ones as one peer lists them; each is proved, but it may leave some out")


async def _explain_miner(access: Access, account: AccountId, last: int) -> Sequence[Explained]:
    async with client_of(access) as client:
        return await explained_of_miner(client, account, last)
    raise AssertionError("the client's context returns or raises")


def contribution_text(found: Explained) -> list[str]:
    """Return a contribution as a person reads it: the outcome first, then every step."""
    receipt = found.receipt
    lines = [
        f"contribution {found.place}",
        f"miner        {address(receipt.miner)}",
        f"outcome      {outcome_of(receipt).text}",
    ]
    for step in steps_of(receipt):
        height = "" if step.height is None else f"{step.height:,}"
        lines.append(f"{height:>12} {step.text}")
    lines.append(f"proof        {_proof(found)}")
    return lines


def _proof(found: Explained) -> str:
    what = "receipt under the task's receipts root" if found.is_settled else "records of the state"
    return f"{what}, sealed header of height {found.height:,}"


def contribution_document(found: Explained) -> Document:
    """Return a contribution as JSON values; amounts are POT, ratios parts per million."""
    receipt = found.receipt
    outcome = outcome_of(receipt)
    return {
        "schema": SCHEMA,
        "contribution": str(found.place),
        "task": receipt.task.hex(),
        "round": receipt.round,
        "shard": receipt.shard,
        "miner": address(receipt.miner),
        "outcome": outcome.code,
        "reason": outcome.text,
        "settled": found.is_settled,
        "status": receipt.status.name.lower(),
        "paid": format_amount(receipt.paid),
        "kept_as_bond": format_amount(receipt.bonded),
        "slashed": format_amount(_slashed(receipt.audit)),
        "fines": [_fine(each) for each in receipt.fines],
        "beaten": None if receipt.beaten is None else _beaten(receipt.beaten),
        "score": receipt.score,
        "weight": format_amount(receipt.weight),
        "leased_height": receipt.started,
        "claim": None if receipt.claim is None else _claim(receipt.claim),
        "attested": receipt.attested,
        "judges": receipt.judges,
        "fixed_height": receipt.fixed or None,
        "flagged": receipt.flagged,
        "dropped": receipt.dropped,
        "probability_ppm": receipt.probability,
        "audit": None if receipt.audit is None else _audit(receipt.audit),
        "settled_height": receipt.height or None,
        "steps": [{"height": step.height, "text": step.text} for step in steps_of(receipt)],
        "proved_height": found.height,
        "verified": True,
    }


def _slashed(audit: AuditReceipt | None) -> int:
    return 0 if audit is None or audit.penalty is None else audit.penalty.taken


def _fine(fine: Fine) -> Document:
    return {"miner": address(fine.miner), "amount": format_amount(fine.amount)}


def _beaten(beaten: Beaten) -> Document:
    return {
        "miner": address(beaten.miner),
        "stood_in": beaten.stood_in,
        "claimed_height": beaten.claimed or None,
    }


def _claim(claim: Claim) -> Document:
    return {
        "height": claim.height,
        "payload": claim.payload.hex(),
        "samples": claim.samples,
        "loss_before": claim.loss_before / 1e6,
        "loss_after": claim.loss_after / 1e6,
        "diverged": claim.diverged,
    }


def _audit(audit: AuditReceipt) -> Document:
    return {
        "reason": audit.reason.name.lower(),
        "phase": audit.phase.name.lower(),
        "deadline": audit.deadline,
        "drawn_height": audit.drawn,
        "revealed_height": audit.revealed or None,
        "trace_opened": audit.opened,
        "auditors": [_report(line) for line in audit.auditors],
        "provisional": None if audit.provisional is None else audit.provisional.name.lower(),
        "ruled_height": audit.ruled or None,
        "challenge": None if audit.challenge is None else _challenge(audit.challenge),
        "escalation": None if audit.escalation is None else audit.escalation.name.lower(),
        "escalated_height": audit.escalated or None,
        "judges": [_report(line) for line in audit.judges],
        "verdict": None if audit.final is None else audit.final.name.lower(),
        "closed_height": audit.closed or None,
        "penalty": None if audit.penalty is None else _penalty(audit.penalty),
        "auditors_penalty": None if audit.liars is None else _penalty(audit.liars),
    }


def _report(line: ReportLine) -> Document:
    return {
        "auditor": address(line.auditor),
        "conduct": line.conduct.name.lower(),
        "committed": line.committed,
        "verdict": None if line.verdict is None else line.verdict.name.lower(),
        "measure": None if line.measure is None else line.measure.name.lower(),
        "measured_ppm": None if line.measure is None else line.measured,
        "tolerance_ppm": None if line.measure is None else line.tolerance,
        "unstable": line.excused,
        "instability_ppm": line.instability,
        "text": report(line) if line.verdict is None else finding(line),
    }


def _challenge(challenge: ChallengeRecord) -> Document:
    return {
        "challenger": address(challenge.challenger),
        "height": challenge.height,
        "expects": "fail" if challenge.expects_fail else "pass",
        "stake": format_amount(challenge.stake),
        "lost": challenge.lost,
    }


def _penalty(penalty: Penalty) -> Document:
    left = penalty.taken - penalty.burned - penalty.reward * len(penalty.rewarded)
    return {
        "slashed": format_amount(penalty.taken),
        "burned": format_amount(penalty.burned),
        "rewarded": [address(node) for node in penalty.rewarded],
        "reward": format_amount(penalty.reward),
        "to_task": format_amount(left),
    }
