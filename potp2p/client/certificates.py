"""Certificates offline: from an epoch's validator keys to who won a height's draw and why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from potp2p.client.light import Trust
from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import ChainId, NodeId
from potp2p.protocol.crypto.hashing import tagged_hash
from potp2p.protocol.incentives.lottery import verify_draw
from potp2p.protocol.ledger.heights import epoch_of
from potp2p.protocol.ledger.validity import block_hash, verify_seal
from potp2p.protocol.wire.certificates import CERTIFICATE_DOMAIN, CertificateFile, EpochLink
from potp2p.protocol.wire.schema import decode, encode

FILE_BYTES_MAX: Final = 16 << 20
"""A header, a seal of 100 signatures, 64 draws of 16 steps: 100 KB; a link to the next: 11 KB."""


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
    """
    Raise PeerError unless seal, header, certificate and draws support each other.

    The validators are those of the certificate's epoch; links are not looked at.
    """
    export = _decode(encoded)
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
    if ranked and certificate.ranking[body.rank] != body.author:
        raise PeerError(RejectionReason.BAD_PROOF, "author of another rank")
    return VerifiedCertificate(
        cycle=certificate.cycle,
        height=certificate.height,
        ranking=certificate.ranking,
        author=body.author,
        rank=body.rank if ranked else None,
        total_weight=certificate.total_weight,
        signers=len(export.seal.signatures),
    )


def verify_from_genesis(encoded: bytes, trust: Trust) -> VerifiedCertificate:
    """Raise PeerError unless a file's links lead from known seats to those of its epoch."""
    export = _decode(encoded)
    if export.links:
        trust = Trust(trust.chain_id, trust.consensus, trust.sets[:1]).follow(export.links)
    epoch = epoch_of(export.header.body.height, trust.consensus)
    return verify_certificate_file(encoded, trust.chain_id, trust.validators_of(epoch))


def with_links(encoded: bytes, trust: Trust, links: Sequence[EpochLink]) -> bytes:
    """Return a file with what leads to its epoch's seats, verified; PeerError if it does not."""
    whole = encode(replace(_decode(encoded), links=tuple(links)))
    verify_from_genesis(whole, trust)
    return whole


def _decode(encoded: bytes) -> CertificateFile:
    return decode(CertificateFile, encoded, bytes_max=FILE_BYTES_MAX)
