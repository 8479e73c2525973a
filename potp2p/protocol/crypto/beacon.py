"""
Public randomness: the beacon of a height, the chains behind it, and draws from it.

Each validator registers the end of a SHA-256 chain, its anchor; position p of a chain is what
hashes to the anchor in p steps. A validator without an anchor reveals 32 zero bytes. Draws are
integers from SHA-256 over beacon, domain, parts and a counter: the same everywhere, uniform by
rejection.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import DIGEST_BYTES
from potp2p.foundation.types import ChainId, Digest, Epoch
from potp2p.protocol.crypto.hashing import sha256, tagged_hash

NO_REVEAL: Final = Digest(bytes(DIGEST_BYTES))
SEED_DOMAIN: Final = "potp2p/beacon-seed/1"
OWNER_DOMAIN: Final = "potp2p/beacon-owner/1"
CHAIN_LENGTH_MAX: Final = 1 << 20
"""Longest chain anyone walks: 0.5 s of hashing, and 24 days of 2 s blocks."""

CHAINS_KNOWN_MAX: Final = 256
"""Two epochs of the largest committee, with room."""

Item = TypeVar("Item")


def chain_anchor(seed: bytes, length: int) -> Digest:
    """Return the end of the chain of this length, the only part that is public beforehand."""
    return reveal(seed, length, 0)


def reveal(seed: bytes, length: int, position: int) -> Digest:
    """Return what hashes to the anchor in `position` steps; position `length` is the start."""
    assert 0 <= position <= length <= CHAIN_LENGTH_MAX, (position, length)
    digest = tagged_hash(SEED_DOMAIN, seed)
    for _ in range(length - position):
        digest = sha256(digest)
    return digest


def verify_reveal(revealed: Digest, anchor: Digest | None, position: int) -> None:
    """Raise PeerError unless the value lies `position` steps before the anchor."""
    assert 0 <= position <= CHAIN_LENGTH_MAX, position
    if anchor is None:
        if revealed != NO_REVEAL:
            raise PeerError(RejectionReason.BAD_PROOF, "reveal without an anchor")
        return
    KnownReveals().verify(revealed, anchor, position)


@dataclass(slots=True)
class KnownReveals:
    """
    The furthest reveal verified on each chain: later ones are walked to it, not to the end.

    The verdict is that of the whole walk, unless two inputs of SHA-256 have one digest.
    """

    _furthest: dict[Digest, tuple[int, Digest]] = field(
        default_factory=dict[Digest, tuple[int, Digest]]
    )
    """By anchor."""

    def verify(self, revealed: Digest, anchor: Digest, position: int) -> None:
        """Raise PeerError unless the value lies `position` steps before the anchor."""
        furthest = self._furthest.get(anchor, (0, anchor))
        place, known = furthest if furthest[0] <= position else (0, anchor)
        digest = revealed
        for _ in range(position - place):
            digest = sha256(digest)
        if digest != known:
            raise PeerError(RejectionReason.BAD_PROOF, "reveal does not lead to the anchor")
        if position > furthest[0]:
            self._furthest[anchor] = (position, revealed)
        if len(self._furthest) > CHAINS_KNOWN_MAX:
            del self._furthest[next(iter(self._furthest))]


def beacon_seed(secret: bytes, epoch: Epoch) -> bytes:
    """Return the seed of a validator's chain for one epoch: grown from its key, so never stored."""
    return tagged_hash(OWNER_DOMAIN, secret, epoch.to_bytes(8, "big"))


def first_beacon(chain_id: ChainId) -> Digest:
    """Return the beacon of height 0, which is the chain id."""
    return Digest(chain_id)


def next_beacon(previous: Digest, revealed: Digest) -> Digest:
    """Return SHA-256(previous || reveal), DESIGN section 4."""
    return sha256(previous + revealed)


def draw(beacon: Digest, domain: str, *parts: bytes, below: int) -> int:
    """Return a uniform integer in 0 .. below - 1; `parts` tell draws of one domain apart."""
    assert 0 < below <= 1 << 256, below
    size = max(8, (below.bit_length() + 7) // 8)
    ceiling = (1 << 8 * size) // below * below
    counter = 0
    while True:
        digest = tagged_hash(domain, beacon, *parts, counter.to_bytes(4, "big"))
        value = int.from_bytes(digest[:size], "big")
        if value < ceiling:
            return value % below
        counter += 1


def shuffle(beacon: Digest, domain: str, *parts: bytes, items: Sequence[Item]) -> list[Item]:
    """Return a uniform permutation, by Fisher and Yates from the last place down."""
    order = list(items)
    for place in range(len(order) - 1, 0, -1):
        other = draw(beacon, domain, *parts, place.to_bytes(4, "big"), below=place + 1)
        order[place], order[other] = order[other], order[place]
    return order


def sample(
    beacon: Digest, domain: str, *parts: bytes, items: Sequence[Item], count: int
) -> list[Item]:
    """Return `count` distinct items in drawn order, or all of them where there are fewer."""
    left, chosen = list(items), list[Item]()
    while left and len(chosen) < count:
        place = len(chosen).to_bytes(4, "big")
        chosen.append(left.pop(draw(beacon, domain, *parts, place, below=len(left))))
    return chosen
