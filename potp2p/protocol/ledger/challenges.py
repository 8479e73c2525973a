"""
Challenges: anyone bonded, the accused too, may dispute a ruling once and have all judges replay.

A challenge stakes the price of all those replays out of its sender's free bond. If the judges
uphold what stood, or find the opposite of what was expected, the stake pays them and the rest is
burned; if they find another verdict it is free again. Where they find none in time the accused has
its stake back, and whoever accused it loses it: else a client could dispute all that it should pay
for, more than judges can replay, and have most of it void for nothing.
"""

from dataclasses import replace
from typing import Final

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import Amount
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.incentives.rewards import audit_worth
from potp2p.protocol.ledger.audit_records import (
    Audit,
    AuditPhase,
    AuditReason,
    ChallengeRecord,
    Escalation,
)
from potp2p.protocol.ledger.audits import escalate, open_audit
from potp2p.protocol.ledger.context import BlockContext, Sender, require
from potp2p.protocol.ledger.findings import OPPOSITE, is_lie
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.money import burn, credit, free_bond, payout_of, slash_amount
from potp2p.protocol.ledger.records import LeaseStatus
from potp2p.protocol.ledger.seats import judges_of
from potp2p.protocol.ledger.state import State
from potp2p.protocol.ledger.tasks import price_of
from potp2p.protocol.verification.verdict import Verdict
from potp2p.protocol.wire.transactions import Challenge

EXPECTED: Final = {True: Verdict.FAIL, False: Verdict.PASS}


def apply_challenge(state: State, sender: Sender, action: Challenge, context: BlockContext) -> None:
    """Lock a stake and put a contribution into the hands of all judges."""
    place = (action.task, action.round, action.shard)
    audit = _disputed(state, place, context)
    require(audit.challenge is None, RejectionReason.DUPLICATE, "challenged already")
    stands = Verdict.PASS if audit.provisional is None else audit.provisional
    require(
        EXPECTED[action.expects_fail] is not stands,
        RejectionReason.OUT_OF_BOUNDS,
        "a challenge that expects what stands",
    )
    stake = _lock_stake(state, place, sender, context)
    challenge = ChallengeRecord(
        sender.node, action.expects_fail, Amount(stake), context.height, lost=False
    )
    audit = replace(audit, challenge=challenge)
    state.put_audit(*place, escalate(state, context, place, audit, Escalation.CHALLENGE))


def _lock_stake(state: State, place: LeasePlace, sender: Sender, context: BlockContext) -> int:
    """
    Lock what a challenger stakes out of its free bond, and return how much.

    The accused stakes what it can: a conviction would take all its bond anyway, and a dear lease
    must not leave an honest miner without recourse. A newcomer stakes an audit's price at least,
    which its first pay is worth: keys are cheap, and one unit must not call all judges.
    """
    record = state.account(sender.account)
    stake, free = stake_of(state, place, context), free_bond(record)
    if sender.node == state.lease(*place).miner and record.bond:
        is_newcomer = record.bond < context.genesis.money.miner_bond
        least = min(stake, _price_of_audit(state, place, context)) if is_newcomer else 0
        stake = max(least, min(stake, free))
    require(
        free >= stake,
        RejectionReason.INSUFFICIENT_FUNDS,
        f"free bond {free} below the stake of {stake}",
    )
    state.put_account(sender.account, replace(record, locked=Amount(record.locked + stake)))
    return stake


def stake_of(state: State, place: LeasePlace, context: BlockContext) -> int:
    """Return what a challenge costs if it is lost: an audit's price for every judge."""
    judges = judges_of(state, state.round(place[0], place[1]).started, context.genesis)
    return _price_of_audit(state, place, context) * len(judges)


def _price_of_audit(state: State, place: LeasePlace, context: BlockContext) -> int:
    task, training = state.task(place[0]), context.genesis.training
    price = price_of(task.rules, task.budget, context.genesis)
    return audit_worth(price, rate=training.audit_rate, committee=training.audit_committee)


def _disputed(state: State, place: LeasePlace, context: BlockContext) -> Audit:
    """Return the audit that a challenge is about; what was not drawn gets one now."""
    record, lease = state.round(place[0], place[1]), state.lease(*place)
    audit = state.find_audit(*place)
    if audit is not None:
        require(
            audit.phase is AuditPhase.WINDOW,
            RejectionReason.TOO_LATE if audit.escalation is not None else RejectionReason.TOO_EARLY,
            "no provisional ruling stands",
        )
        return audit
    require(record.drawn, RejectionReason.TOO_EARLY, "audits are not drawn yet")
    require(
        lease.status is LeaseStatus.PASSED,
        RejectionReason.NOT_FOUND,
        "nothing to dispute: the contribution is not one that will be paid",
    )
    require(
        context.height <= record.challenge_until,
        RejectionReason.TOO_LATE,
        f"challenges ended at {record.challenge_until}",
    )
    state.put_lease(*place, replace(lease, status=LeaseStatus.AUDITED, audited=True))
    audits = tuple(sorted((*record.audits, place[2])))
    state.put_round(place[0], place[1], replace(record, audits=audits))
    return open_audit(context, state.task(place[0]).rules, AuditReason.CHALLENGED, ())


def settle_challenge(
    state: State,
    place: LeasePlace,
    audit: Audit,
    verdict: Verdict | None,
) -> Audit:
    """Free a stake or let it pay the judges, by their verdict; None: they found none."""
    challenge = audit.challenge
    if challenge is None:
        return audit
    account = account_of(challenge.challenger)
    record = state.account(account)
    state.put_account(account, replace(record, locked=Amount(record.locked - challenge.stake)))
    if not _is_lost(audit, challenge, verdict):
        return audit
    # Slashed for something else meanwhile, it may have less than it staked.
    left = slash_amount(state, account, challenge.stake)
    share = left // len(audit.judges)
    for each in audit.judges:
        lied = verdict is not None and is_lie(state, place, audit, each, verdict)
        if each.report is not None and not lied:
            credit(state, payout_of(state, each.auditor), share)
            left -= share
    burn(state, left, by_task=False)
    return replace(audit, challenge=replace(challenge, lost=True))


def _is_lost(audit: Audit, challenge: ChallengeRecord, verdict: Verdict | None) -> bool:
    """Tell whether judges upheld what stood, or did not find that who was accused had cheated."""
    if verdict is None:
        return challenge.expects_fail
    stood = Verdict.PASS if audit.provisional is None else audit.provisional
    return verdict is stood or verdict is OPPOSITE[EXPECTED[challenge.expects_fail]]
