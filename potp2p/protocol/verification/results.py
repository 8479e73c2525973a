"""What binds a validator to a round's result before anyone shows theirs: a salted hash of it."""

from dataclasses import dataclass
from typing import Final

from potp2p.foundation.types import Digest, NodeId
from potp2p.protocol.crypto.hashing import tagged_hash
from potp2p.protocol.wire.fields import NodeField
from potp2p.protocol.wire.schema import encode
from potp2p.protocol.wire.transactions import ResultCommit, RoundResult

RESULT_DOMAIN: Final = "potp2p/result-commitment/1"


@dataclass(frozen=True, slots=True)
class _ResultStatement:
    validator: NodeField
    result: RoundResult


def result_commitment(validator: NodeId, result: RoundResult) -> Digest:
    """Return what binds a validator: the hash of all that it will show, its salt included."""
    return tagged_hash(RESULT_DOMAIN, encode(_ResultStatement(validator, result)))


def commit_to(validator: NodeId, result: RoundResult) -> ResultCommit:
    """Return the commitment to a result as it is said."""
    return ResultCommit(result.task, result.round, result_commitment(validator, result))
