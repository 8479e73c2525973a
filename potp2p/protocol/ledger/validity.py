"""Is this a block? Seals, links and signatures, all but the execution."""

from collections.abc import Sequence

from potp2p.foundation.committee import quorum
from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import ChainId, Digest, NodeId
from potp2p.protocol.crypto.hashing import sha256, tagged_hash
from potp2p.protocol.crypto.merkle import merkle_root
from potp2p.protocol.crypto.signing import verify_signature
from potp2p.protocol.ledger.block import Prospects
from potp2p.protocol.wire.blocks import (
    BLOCK_DOMAIN,
    BLOCK_VERSION,
    BODY_DOMAIN,
    COMMIT_DOMAIN,
    NO_DIGEST,
    RANK_NONE,
    SEAL_DOMAIN,
    AuthoredBody,
    Block,
    BlockBody,
    CommitStatement,
    Frame,
    Header,
    Seal,
)
from potp2p.protocol.wire.schema import encode


def block_hash(header: Header) -> Digest:
    """Return the hash that votes and seals name."""
    return tagged_hash(BLOCK_DOMAIN, encode(header))


def seal_hash(seal: Seal | None) -> Digest:
    """Return the digest of a seal as the next body repeats it."""
    return NO_DIGEST if seal is None else tagged_hash(SEAL_DOMAIN, encode(seal))


def transactions_root(transactions: Sequence[bytes]) -> Digest:
    """Return the Merkle root over the SHA-256 of each transaction's bytes, in order."""
    return merkle_root([sha256(transaction) for transaction in transactions])


def verify_seal(seal: Seal, validators: Sequence[NodeId], chain_id: ChainId) -> None:
    """Raise unless a quorum of distinct seats signed this very block."""
    signers = [each.signer for each in seal.signatures]
    if signers != sorted(set(signers)) or (signers and signers[-1] >= len(validators)):
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "signers of a seal")
    if len(signers) < quorum(len(validators)):
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, f"seal with {len(signers)} signatures")
    for each in seal.signatures:
        statement = CommitStatement(
            seal.epoch, seal.height, seal.view, each.signer, seal.block_hash
        )
        verify_signature(
            validators[each.signer], each.signature, COMMIT_DOMAIN, chain_id, encode(statement)
        )


def verify_body(
    authored: AuthoredBody,
    *,
    prospects: Prospects,
    parent_hash: Digest,
    parent_validators: Sequence[NodeId],
    chain_id: ChainId,
) -> None:
    """
    Raise unless a body follows its parent and its author may sign it at this height.

    A ranked body is signed by the miner of that rank; without rank it is signed by a validator,
    and `verify_frame` then asks that it be the frame's primary.
    """
    body = authored.body
    expected: tuple[tuple[str, object, object], ...] = (
        ("version", body.version, BLOCK_VERSION),
        ("height", body.height, prospects.height),
        ("parent", body.previous_hash, parent_hash),
        ("epoch", body.epoch, prospects.epoch),
        ("cycle", body.cycle, prospects.cycle),
        ("certificate", body.certificate_hash, prospects.certificate_hash),
        ("next validators", body.next_validators_hash, prospects.next_validators_hash),
        ("parent's seal", body.previous_seal_hash, seal_hash(authored.previous_seal)),
        ("transactions", body.transactions_root, transactions_root(authored.transactions)),
    )
    for name, actual, wanted in expected:
        if actual != wanted:
            raise PeerError(RejectionReason.BAD_BLOCK, f"{name} of block {body.height}")
    _verify_author(body, prospects)
    verify_signature(body.author, authored.author_signature, BODY_DOMAIN, chain_id, encode(body))
    _verify_previous_seal(authored, parent_hash, parent_validators, chain_id)


def _verify_author(body: BlockBody, prospects: Prospects) -> None:
    if body.rank == RANK_NONE:
        if body.author not in prospects.nodes:
            raise PeerError(RejectionReason.WRONG_SENDER, "unranked author without a seat")
        return
    if body.rank >= len(prospects.ranking) or prospects.ranking[body.rank] != body.author:
        raise PeerError(RejectionReason.WRONG_SENDER, f"author does not hold rank {body.rank}")


def _verify_previous_seal(
    authored: AuthoredBody,
    parent_hash: Digest,
    parent_validators: Sequence[NodeId],
    chain_id: ChainId,
) -> None:
    seal = authored.previous_seal
    if (seal is None) != (authored.body.height == 1):
        raise PeerError(RejectionReason.BAD_BLOCK, "parent's seal is missing or out of place")
    if seal is None:
        return
    if seal.height != authored.body.height - 1 or seal.block_hash != parent_hash:
        raise PeerError(RejectionReason.BAD_BLOCK, "seal of another parent")
    verify_seal(seal, parent_validators, chain_id)


def frame_body(authored: AuthoredBody, frame: Frame) -> Block:
    """Put a primary's frame around an author's body."""
    header = Header(authored.body, authored.author_signature, frame)
    return Block(header, authored.previous_seal, authored.transactions)


def body_of(block: Block) -> AuthoredBody:
    """Return the part of a block that its author signed, as it travels alone."""
    return AuthoredBody(
        block.header.body,
        block.header.author_signature,
        block.previous_seal,
        block.transactions,
    )


def verify_frame_author(block: Block, prospects: Prospects) -> None:
    """Raise unless the frame's primary leads its view, and wrote the body if that has no rank."""
    frame, body = block.header.frame, block.header.body
    primaries = prospects.primaries
    if primaries[frame.view % len(primaries)] != frame.primary:
        raise PeerError(RejectionReason.NOT_PRIMARY, f"frame by seat {frame.primary}")
    if body.rank == RANK_NONE and prospects.nodes[frame.primary] != body.author:
        raise PeerError(RejectionReason.WRONG_SENDER, "unranked body by another than the primary")
