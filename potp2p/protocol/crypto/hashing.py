"""SHA-256, plain and with a domain in front, so that no digest of ours can pass for another."""

from hashlib import sha256 as _sha256

from potp2p.foundation.types import Digest


def sha256(message: bytes) -> Digest:
    """Return the plain SHA-256 of bytes."""
    return Digest(_sha256(message).digest())


def tagged_hash(domain: str, *parts: bytes) -> Digest:
    """
    Return SHA-256 over the domain, a newline and the parts, one after another.

    Parts are joined without lengths: a caller gives at most one part of variable length, or
    canonical CBOR, which says itself where it ends.
    """
    assert domain.isascii(), domain
    assert "\n" not in domain, domain
    state = _sha256(domain.encode("ascii") + b"\n")
    for part in parts:
        state.update(part)
    return Digest(state.digest())
