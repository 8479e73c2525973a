"""Own beacon chains, one per epoch: grown from the node's key, so that a restart loses nothing."""

from dataclasses import dataclass, field
from typing import Final

from potp2p.foundation.types import Digest, Epoch, Height
from potp2p.protocol.crypto.beacon import beacon_seed, chain_anchor, reveal
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.wire.genesis import ConsensusParameters

STRIDE: Final = 256


@dataclass(slots=True)
class BeaconChain:
    """
    Reveals of this validator; a chain is as long as an epoch.

    It is walked from its start, so some values on the way are kept: a height would else cost as
    many hashes as are left of its epoch.
    """

    secret: bytes
    parameters: ConsensusParameters
    _anchors: dict[Epoch, Digest] = field(default_factory=dict[Epoch, Digest])
    _waypoints: dict[Epoch, tuple[Digest, ...]] = field(
        default_factory=dict[Epoch, tuple[Digest, ...]]
    )
    """Of the epoch asked for last: every STRIDE-th value from the start."""

    @property
    def length(self) -> int:
        """Return the blocks of an epoch."""
        return self.parameters.cycle_blocks * self.parameters.epoch_cycles

    def anchor(self, epoch: Epoch) -> Digest:
        """Return the public end of an epoch's chain, which is registered one epoch ahead."""
        if epoch not in self._anchors:
            self._anchors = {epoch: chain_anchor(beacon_seed(self.secret, epoch), self.length)}
        return self._anchors[epoch]

    def reveal(self, height: Height) -> Digest:
        """Return the preimage at the depth of a height within its epoch."""
        epoch, index = divmod(height - 1, self.length)
        waypoints = self._of(Epoch(epoch))
        passed, left = divmod(self.length - index - 1, STRIDE)
        return _walk(waypoints[passed], left)

    def _of(self, epoch: Epoch) -> tuple[Digest, ...]:
        if epoch not in self._waypoints:
            digest = reveal(beacon_seed(self.secret, epoch), self.length, self.length)
            found = [digest]
            for _ in range(self.length // STRIDE):
                found.append(_walk(found[-1], STRIDE))
            self._waypoints = {epoch: tuple(found)}
        return self._waypoints[epoch]


def _walk(digest: Digest, steps: int) -> Digest:
    for _ in range(steps):
        digest = sha256(digest)
    return digest
