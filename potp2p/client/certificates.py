"""Certificates offline: from an epoch's validator keys to who won a height's draw and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import ChainId, NodeId
from potp2p.protocol.crypto.hashing import tagged_hash
from potp2p.protocol.incentives.lottery import verify_draw
from potp2p.protocol.ledger.validity import block_hash, verify_seal
from potp2p.protocol.wire.certificates import CERTIFICATE_DOMAIN, CertificateFile
from potp2p.protocol.wire.schema import decode, encode


@dataclass(frozen=True, slots=True)
class VerifiedCertificate:
    """What a certificate proves."""

    cycle: int
    height: int
    ranking: tuple[NodeId, ...]
    author: NodeId
    """Who signed the block of this height."""
    rank: int | None
    """Of the author; None where the primary wrote the block itself."""
    total_weight: int
    signers: int


def verify_certificate_file(
    encoded: bytes, chain_id: ChainId, validators: Sequence[NodeId]
) -> VerifiedCertificate:
    """Raise PeerError unless seal, header, certificate and draws support each other."""
    export = decode(CertificateFile, encoded)
    certificate, body = export.certificate, export.header.body
    if block_hash(export.header) != export.seal.block_hash:
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "seal of another header")
    if export.seal.height != body.height or export.seal.epoch != body.epoch:
        raise PeerError(RejectionReason.BAD_JUSTIFICATION, "seal of another height")
    verify_seal(export.seal, validators, chain_id)
    if tagged_hash(CERTIFICATE_DOMAIN, encode(certificate)) != body.certificate_hash:
        raise PeerError(RejectionReason.BAD_PROOF, "certificate of another header")
    if certificate.chain_id != chain_id or certificate.height != body.height:
        raise PeerError(RejectionReason.BAD_PROOF, "certificate of another chain or height")
    verify_draw(certificate, export.draw)
    ranked = body.rank < len(certificate.ranking)
    return VerifiedCertificate(
        cycle=certificate.cycle,
        height=certificate.height,
        ranking=certificate.ranking,
        author=body.author,
        rank=body.rank if ranked else None,
        total_weight=certificate.total_weight,
        signers=len(export.seal.signatures),
    )
