"""
What a client believes: a record with a proof under the state root of a header that a quorum sealed.

Whose seals count follows from the genesis document: the last header of each epoch announces the
seats of the next one, and the seats of its own sealed it. Who has followed all of them can check
any header of any epoch offline.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import ChainId, Epoch, NodeId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.ledger.heights import epoch_of
from potp2p.protocol.ledger.tree import Proof, verify_proof
from potp2p.protocol.ledger.trust import verify_link
from potp2p.protocol.ledger.validity import block_hash, verify_seal
from potp2p.protocol.wire.blocks import Header, Seal
from potp2p.protocol.wire.certificates import EpochLink
from potp2p.protocol.wire.exchange import QueryReply
from potp2p.protocol.wire.genesis import ConsensusParameters, Genesis
from potp2p.protocol.wire.schema import decode


@dataclass(frozen=True, slots=True)
class Trust:
    """All that a client needs to check an answer offline."""

    chain_id: ChainId
    consensus: ConsensusParameters
    sets: tuple[tuple[NodeId, ...], ...]
    """The seats of each epoch from the first on, as far as they were followed."""

    @property
    def validators(self) -> tuple[NodeId, ...]:
        """Return the newest seats that are known."""
        return self.sets[-1]

    @property
    def epochs(self) -> int:
        """Return of how many epochs the seats are known."""
        return len(self.sets)

    def validators_of(self, epoch: Epoch) -> tuple[NodeId, ...]:
        """Return the seats of an epoch that was followed, or raise PeerError."""
        if epoch >= len(self.sets):
            raise PeerError(
                RejectionReason.BAD_JUSTIFICATION, f"the seats of epoch {epoch} are not known"
            )
        return self.sets[epoch]

    def follow(self, links: Sequence[EpochLink]) -> "Trust":
        """Return what is known after the ends of further epochs; PeerError where one is forged."""
        sets = list(self.sets)
        for link in links:
            epoch = Epoch(len(sets) - 1)
            sets.append(tuple(verify_link(link, epoch, sets[-1], self.consensus, self.chain_id)))
        return replace(self, sets=tuple(sets))

    def verify_header(self, header: Header, seal: Seal) -> None:
        """Raise PeerError unless the seats of its own epoch sealed a header."""
        body = header.body
        epoch = epoch_of(body.height, self.consensus)
        if block_hash(header) != seal.block_hash:
            raise PeerError(RejectionReason.BAD_JUSTIFICATION, "seal of another header")
        if (seal.height, seal.epoch, body.epoch) != (body.height, epoch, epoch):
            raise PeerError(RejectionReason.BAD_JUSTIFICATION, "seal of another height")
        verify_seal(seal, self.validators_of(epoch), self.chain_id)


@dataclass(frozen=True, slots=True)
class Proved:
    """A record as it stood after a sealed block; None when it was proved absent."""

    header: Header
    value: bytes | None


def trust_in(genesis_bytes: bytes) -> tuple[Trust, Genesis]:
    """Read a genesis document into what can be checked with it."""
    genesis = decode(Genesis, genesis_bytes)
    nodes = tuple(validator.node for validator in genesis.validators)
    return Trust(ChainId(sha256(genesis_bytes)), genesis.consensus, (nodes,)), genesis


def verify_reply(trust: Trust, key: bytes, reply: QueryReply) -> Proved:
    """Raise PeerError unless seal, header and proof support the record."""
    trust.verify_header(reply.header, reply.seal)
    proof = decode(Proof, reply.proof)
    verify_proof(reply.header.body.state_root, key, reply.value, proof)
    return Proved(reply.header, reply.value)
