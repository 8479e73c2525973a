"""
What a client believes: a record with a proof under the state root of a header that a quorum sealed.

The validators are those of the genesis document; following changes of the set is a light client's
next step (the header announces them).
"""

from dataclasses import dataclass

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import ChainId, NodeId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.ledger.tree import Proof, verify_proof
from potp2p.protocol.ledger.validity import block_hash, verify_seal
from potp2p.protocol.wire.blocks import Header
from potp2p.protocol.wire.exchange import QueryReply
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import decode


@dataclass(frozen=True, slots=True)
class Trust:
    """All that a client needs to check an answer offline."""

    chain_id: ChainId
    validators: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class Proved:
    """A record as it stood after a sealed block; None when it was proved absent."""

    header: Header
    value: bytes | None


def trust_in(genesis_bytes: bytes) -> tuple[Trust, Genesis]:
    """Read a genesis document into what can be checked with it."""
    genesis = decode(Genesis, genesis_bytes)
    nodes = tuple(validator.node for validator in genesis.validators)
    return Trust(ChainId(sha256(genesis_bytes)), nodes), genesis


def verify_reply(trust: Trust, key: bytes, reply: QueryReply) -> Proved:
    """Raise PeerError unless seal, header and proof support the record."""
    if block_hash(reply.header) != reply.seal.block_hash:
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "seal of another header")
    verify_seal(reply.seal, trust.validators, trust.chain_id)
    proof = decode(Proof, reply.proof)
    verify_proof(reply.header.body.state_root, key, reply.value, proof)
    return Proved(reply.header, reply.value)
