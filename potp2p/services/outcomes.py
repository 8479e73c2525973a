"""What became of this node's own contributions lately, for its owner."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from potp2p.foundation.limits import (
    OUTCOME_HEIGHTS_SEARCHED,
    STATUS_OUTCOMES_KEPT,
    STATUS_UNDER_AUDIT_MAX,
)
from potp2p.foundation.types import GENESIS_HEIGHT, Height, NodeId
from potp2p.observability.outcomes import outcome_for
from potp2p.observability.status import OutcomeLine
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.ledger.audit_duties import audit_duties
from potp2p.protocol.ledger.lease_story import story_of
from potp2p.protocol.ledger.receipt_records import Receipt
from potp2p.protocol.ledger.records import LeaseStatus
from potp2p.protocol.ledger.seats import judges_of
from potp2p.protocol.ledger.state import State
from potp2p.protocol.wire.exchange import RECEIPT_BYTES_MAX
from potp2p.protocol.wire.schema import decode_own
from potp2p.services.chain import ChainService

_ENDED: Final = frozenset({LeaseStatus.VOID, LeaseStatus.REJECTED})


@dataclass(slots=True)
class OwnOutcomes:
    """Owner of the last outcomes; each height's receipts are read once."""

    node: NodeId
    chain: ChainService
    _searched: Height = GENESIS_HEIGHT
    _settled: deque[OutcomeLine] = field(
        default_factory=lambda: deque[OutcomeLine](maxlen=STATUS_OUTCOMES_KEPT)
    )

    def settled(self) -> tuple[OutcomeLine, ...]:
        """Return the last settled contributions of this node, oldest first."""
        head = self.chain.head.height
        first = max(self._searched, head - OUTCOME_HEIGHTS_SEARCHED) + 1
        for height in range(first, head + 1):
            for encoded in self.chain.store.receipts(Height(height)):
                # A receipt names its miner in full: most are told apart without being read.
                if encoded.find(self.node) >= 0:
                    receipt = decode_own(Receipt, encoded, bytes_max=RECEIPT_BYTES_MAX)
                    if self.node in receipt.claimants:
                        self._settled.append(_line(receipt, self.node))
        self._searched = head
        return tuple(self._settled)

    def under_audit(self) -> tuple[OutcomeLine, ...]:
        """Return this node's contributions in open rounds that are or were audited, or fined."""
        found = [_line(receipt, self.node) for receipt in self._open(self.chain.state())]
        return tuple(found[:STATUS_UNDER_AUDIT_MAX])

    def asked(self) -> int:
        """Return how many replays the state asks of this node now."""
        return len(audit_duties(self.chain.state(), self.node))

    def _open(self, state: State) -> Iterator[Receipt]:
        genesis = self.chain.ledger.genesis
        for task_id in (*state.chain().tasks, *state.chain().unsettled):
            task = state.task(task_id)
            for round_ in task.open_rounds:
                record = state.round(task_id, round_)
                judges = len(judges_of(state, record.started, genesis))
                for row in record.leases:
                    if row.miner != self.node:
                        continue
                    place = (task_id, round_, row.shard)
                    lease, audit = state.find_lease(*place), state.find_audit(*place)
                    ended = lease is not None and (lease.status in _ENDED or bool(lease.fines))
                    if lease is not None and (audit is not None or ended):
                        yield story_of(place, task.rules, record, lease, audit, judges)


def _line(receipt: Receipt, node: NodeId) -> OutcomeLine:
    outcome = outcome_for(receipt, account_of(node))
    return OutcomeLine(
        task=receipt.task.hex(),
        round=receipt.round,
        shard=receipt.shard,
        outcome=outcome.code,
        reason=outcome.text,
        height=receipt.height or None,
    )
