"""Several transactions handed to a node in one request, and what it says to each."""

from dataclasses import dataclass
from typing import Annotated, Final

from potp2p.foundation.limits import TRANSACTION_BYTES_MAX
from potp2p.protocol.wire.schema import Many, Octets, Text, Uint

SUBMISSIONS_MAX: Final = 512
"""Transactions of one request: some fifty milliseconds of signature checks."""
REFUSAL_BYTES_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class Submission:
    """Transactions in the order in which they should be taken."""

    transactions: Annotated[
        tuple[Annotated[bytes, Octets(1, TRANSACTION_BYTES_MAX)], ...], Many(SUBMISSIONS_MAX)
    ]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A transaction that may not wait here now, and why; a later try may fare better."""

    index: Annotated[int, Uint(SUBMISSIONS_MAX)]
    reason: Annotated[str, Text(REFUSAL_BYTES_MAX)]


@dataclass(frozen=True, slots=True)
class SubmissionReceipt:
    """What was not taken; everything else waits for a block."""

    refused: Annotated[tuple[Refusal, ...], Many(SUBMISSIONS_MAX)]
