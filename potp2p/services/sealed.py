"""Sealed blocks as bytes from peers: which parts belong together, before any state is asked."""

from dataclasses import dataclass
from typing import Final

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import Digest, Height, NodeId
from potp2p.protocol.ledger.validity import block_hash, seal_hash, transactions_root
from potp2p.protocol.wire.blocks import Block, Seal
from potp2p.protocol.wire.exchange import SealedBlock
from potp2p.protocol.wire.schema import decode, encode

_PAIR: Final = b"\x82"
"""CBOR head of an array of two: what stands in front of block and seal in a sealed block."""


@dataclass(frozen=True, slots=True)
class SealedArrival:
    """One sealed block that a peer gave us, with the bytes that will be stored."""

    block: Block
    seal: Seal
    block_bytes: bytes
    seal_bytes: bytes
    source: NodeId

    @property
    def height(self) -> Height:
        """Return the height of the block."""
        return self.block.header.body.height

    @property
    def parent(self) -> Digest:
        """Return the hash of the block that it says it follows."""
        return self.block.header.body.previous_hash

    @property
    def size(self) -> int:
        """Return how many bytes it holds."""
        return len(self.block_bytes) + len(self.seal_bytes)


def join_sealed(block: bytes, seal: bytes) -> bytes:
    """Return the encoding of a SealedBlock from the stored encodings of its parts."""
    return _PAIR + block + seal


def read_sealed(encoded: bytes, source: NodeId) -> SealedArrival:
    """
    Parse a peer's sealed block and check that its parts belong together.

    What is left is whether a quorum of the right seats signed. The encoding is canonical, so the
    parts' bytes are slices of what came and need not be written again.
    """
    sealed = decode(SealedBlock, encoded)
    verify_parts(sealed)
    seal_bytes = encode(sealed.seal)
    block_bytes = encoded[len(_PAIR) : len(encoded) - len(seal_bytes)]
    return SealedArrival(sealed.block, sealed.seal, block_bytes, seal_bytes, source)


def verify_parts(sealed: SealedBlock) -> None:
    """Raise unless the seal names this very header, and the header all that travels with it."""
    header, seal = sealed.block.header, sealed.seal
    if seal.block_hash != block_hash(header):
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "seal of another block")
    if seal.height != header.body.height or seal.epoch != header.body.epoch:
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "seal of another height")
    if header.body.transactions_root != transactions_root(sealed.block.transactions):
        raise PeerError(RejectionReason.BAD_BLOCK, "transactions of another block")
    if header.body.previous_seal_hash != seal_hash(sealed.block.previous_seal):
        raise PeerError(RejectionReason.BAD_BLOCK, "parent's seal of another block")
