"""Raising a challenge: what it stakes, and that it stands on the chain."""

import trio

from potp2p.client.contributions import Explained
from potp2p.client.session import INCLUSION_SECONDS, LOOK_SECONDS, Client
from potp2p.foundation.amounts import CURRENCY, format_amount
from potp2p.foundation.errors import FundsError, MissingError, OperatingError
from potp2p.foundation.types import Amount
from potp2p.protocol.incentives.rewards import audit_worth
from potp2p.protocol.ledger.audit_records import Audit, AuditPhase
from potp2p.protocol.ledger.keys import audit_key
from potp2p.protocol.ledger.money import free_bond
from potp2p.protocol.ledger.records import LeaseStatus, Task
from potp2p.protocol.ledger.tasks import price_of
from potp2p.protocol.ledger.transition import sign_transaction
from potp2p.protocol.verification.verdict import Verdict
from potp2p.protocol.wire.schema import decode
from potp2p.protocol.wire.transactions import Challenge


def disputable(found: Explained) -> Verdict:
    """Return what stands and may be challenged; OperatingError says why nothing may be."""
    receipt, audit = found.receipt, found.receipt.audit
    if found.is_settled:
        raise OperatingError(f"nothing can be challenged: settled at height {receipt.height}")
    if audit is None:
        if receipt.status is not LeaseStatus.PASSED:
            raise OperatingError("nothing can be challenged yet: audits are not drawn")
        return Verdict.PASS
    if audit.phase is AuditPhase.WINDOW and audit.provisional is not None:
        return audit.provisional
    why = "all validators replay already" if audit.escalation is not None else "no ruling yet"
    raise OperatingError(f"nothing can be challenged now: {why}")


def stake_of(client: Client, found: Explained, task: Task) -> Amount:
    """Return what a challenge costs if it is lost: an audit's price for every judge."""
    training = client.genesis.training
    price = price_of(task.rules, task.budget, client.genesis)
    each = audit_worth(price, rate=training.audit_rate, committee=training.audit_committee)
    return Amount(each * found.receipt.judges)


async def raise_challenge(
    client: Client, found: Explained, stake: Amount, *, expects_fail: bool
) -> int:
    """Dispute what stands about a contribution; returns the height at which it stands on chain."""
    account = await client.account(client.keys.account)
    if free_bond(account) < stake:
        raise FundsError(
            f"free bond of {client.keys.address} is {format_amount(free_bond(account))} "
            f"{CURRENCY}, the stake is {format_amount(stake)} {CURRENCY}: lock more with "
            f"potp2p validator bond AMOUNT --validator {client.keys.address}"
        )
    place = found.place
    action = Challenge(place.task, place.round, place.shard, expects_fail)
    await client.hand_over(sign_transaction(client.keys, client.trust.chain_id, action))
    key = audit_key(place.task, place.round, place.shard)
    with trio.move_on_after(INCLUSION_SECONDS):
        while True:
            value = (await client.query(key)).value
            challenge = None if value is None else decode(Audit, value).challenge
            if challenge is not None:
                if challenge.challenger != client.keys.node_id:
                    raise MissingError("another challenge came first: this one costs nothing")
                return challenge.height
            await trio.sleep(LOOK_SECONDS)
    raise OperatingError(f"not on the chain after {INCLUSION_SECONDS:.0f} s; it may still come")
