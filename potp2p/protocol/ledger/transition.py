"""One transaction: its bytes, its signature, and what each kind of action changes."""

from dataclasses import replace
from functools import lru_cache
from typing import Final, assert_never

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.limits import SIGNATURE_BYTES, TRANSACTION_BYTES_MAX
from potp2p.foundation.types import Amount, ChainId, Digest, TaskId
from potp2p.protocol.crypto.hashing import tagged_hash
from potp2p.protocol.crypto.identity import KeyPair, account_of
from potp2p.protocol.crypto.signing import sign, verify_signature
from potp2p.protocol.ledger.anchors import apply_anchor
from potp2p.protocol.ledger.audits import (
    apply_audit_commit,
    apply_reveal_audit,
    apply_reveal_trace,
)
from potp2p.protocol.ledger.challenges import apply_challenge
from potp2p.protocol.ledger.context import BlockContext, Sender, require
from potp2p.protocol.ledger.contributions import apply_attest, apply_contribute
from potp2p.protocol.ledger.evidence import apply_evidence
from potp2p.protocol.ledger.miners import apply_ready, apply_register_miner
from potp2p.protocol.ledger.money import debit
from potp2p.protocol.ledger.results import apply_result_commit, apply_round_result
from potp2p.protocol.ledger.state import State
from potp2p.protocol.ledger.tasks import (
    apply_attest_package,
    apply_cancel_task,
    apply_submit_task,
)
from potp2p.protocol.ledger.transfers import apply_bond, apply_transfer, apply_unbond
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.transactions import (
    TRANSACTION_DOMAIN,
    Action,
    Anchor,
    Attest,
    AttestPackage,
    AuditCommit,
    Bond,
    CancelTask,
    Challenge,
    Contribute,
    DuplicateBody,
    DuplicateVote,
    Free,
    Paid,
    Ready,
    RegisterMiner,
    ResultCommit,
    RevealAudit,
    RevealTrace,
    RoundResult,
    SubmitTask,
    Transaction,
    TransactionBody,
    Transfer,
    Unbond,
)

ID_DOMAIN: Final = "potp2p/transaction-id/1"
SMALL_BYTES_MAX: Final = 256
SMALL_CACHED: Final = 8_192
"""Some ten megabytes: what waits to be paid for, and two blocks."""
_SIGNATURE_HEAD: Final = bytes((0x58, SIGNATURE_BYTES))
"""CBOR head of the signature, which ends a transaction; one byte of an array head begins it."""
_SIGNATURE_PART: Final = len(_SIGNATURE_HEAD) + SIGNATURE_BYTES


def decode_transaction(encoded: bytes) -> Transaction:
    """
    Parse untrusted bytes.

    What is small is remembered for a while: on its way into a block and out of the pool a
    transaction is read some five times.
    """
    if len(encoded) <= SMALL_BYTES_MAX:
        return _decode_small(encoded)
    return _decode(encoded)


@lru_cache(maxsize=SMALL_CACHED)
def _decode_small(encoded: bytes) -> Transaction:
    return _decode(encoded)


def _decode(encoded: bytes) -> Transaction:
    return decode(Transaction, encoded, bytes_max=TRANSACTION_BYTES_MAX)


def transaction_id(body: TransactionBody) -> Digest:
    """Return the id of a statement: it leaves the signature out, so one statement has one id."""
    return tagged_hash(ID_DOMAIN, encode(body))


def statement_id(encoded: bytes) -> Digest:
    """Return the id from the bytes of a whole transaction that was decoded before: two slices."""
    assert encoded[-_SIGNATURE_PART:].startswith(_SIGNATURE_HEAD), "not a transaction"
    return tagged_hash(ID_DOMAIN, encoded[1:-_SIGNATURE_PART])


def is_free(action: Action) -> bool:
    """Tell whether an action carries no fee and no nonce."""
    return isinstance(action, Free)


def verify_transaction(transaction: Transaction, chain_id: ChainId) -> None:
    """Raise unless the shape and the signature are right; what it may do is up to the state."""
    body = transaction.body
    _require_free_of_charge(body)
    verify_signature(body.sender, transaction.signature, TRANSACTION_DOMAIN, chain_id, encode(body))


def sign_transaction(keys: KeyPair, chain_id: ChainId, action: Free) -> bytes:
    """Return the bytes of a free statement."""
    return _signed(keys, chain_id, TransactionBody(keys.node_id, 0, Amount(0), action))


def sign_paid_transaction(
    keys: KeyPair, chain_id: ChainId, nonce: int, fee: Amount, action: Paid
) -> bytes:
    """Return the bytes of a paid statement."""
    return _signed(keys, chain_id, TransactionBody(keys.node_id, nonce, fee, action))


def _signed(keys: KeyPair, chain_id: ChainId, body: TransactionBody) -> bytes:
    signature = sign(keys, TRANSACTION_DOMAIN, chain_id, encode(body))
    return encode(Transaction(body, signature))


def apply(state: State, transaction: Transaction, context: BlockContext) -> int:
    """
    Change the state by one verified transaction and return what the caller hands out.

    That is its fee; of a lease's first claim the tip, which its task pays.
    Raises PeerError where a rule is broken; the caller then drops the overlay that it gave.
    """
    body = transaction.body
    sender = Sender(body.sender, account_of(body.sender))
    # Whoever answers for the signature, a fee that was never debited must not be handed out.
    _require_free_of_charge(body)
    if not is_free(body.action):
        record = state.account(sender.account)
        require(
            body.nonce == record.nonce,
            RejectionReason.BAD_NONCE,
            f"nonce {body.nonce}, expected {record.nonce}",
        )
        state.put_account(sender.account, replace(record, nonce=record.nonce + 1))
        debit(state, sender.account, body.fee)
    return body.fee + _act(state, sender, transaction, context)


def _require_free_of_charge(body: TransactionBody) -> None:
    require(
        not is_free(body.action) or (body.nonce == 0 and body.fee == 0),
        RejectionReason.MALFORMED,
        "a free action has neither nonce nor fee",
    )


def _act(  # noqa: PLR0912  # one line per kind of action is the table of contents of the law
    state: State, sender: Sender, transaction: Transaction, context: BlockContext
) -> int:
    """Carry an action out and return what a task pays for its place in the block."""
    action = transaction.body.action
    match action:
        case Transfer():
            apply_transfer(state, sender, action)
        case Bond():
            apply_bond(state, sender, action, context)
        case Unbond():
            apply_unbond(state, sender, action, context)
        case SubmitTask():
            task = TaskId(transaction_id(transaction.body))
            apply_submit_task(state, sender, action, task, context)
        case CancelTask():
            apply_cancel_task(state, sender, action)
        case RegisterMiner():
            apply_register_miner(state, sender, action, context)
        case Ready():
            apply_ready(state, sender, action, context)
        case AttestPackage():
            apply_attest_package(state, sender, action, context)
        case Contribute():
            return apply_contribute(state, sender, action, context)
        case Attest():
            apply_attest(state, sender, action, context)
        case ResultCommit():
            apply_result_commit(state, sender, action, context)
        case RoundResult():
            apply_round_result(state, sender, action, context)
        case AuditCommit():
            apply_audit_commit(state, sender, action)
        case RevealTrace():
            apply_reveal_trace(state, sender, action)
        case RevealAudit():
            apply_reveal_audit(state, sender, action)
        case Challenge():
            apply_challenge(state, sender, action, context)
        case Anchor():
            apply_anchor(state, sender, action, context)
        case DuplicateVote() | DuplicateBody():
            apply_evidence(state, action, context)
        case _:
            assert_never(action)
    return 0
