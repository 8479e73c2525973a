"""Own beacon chains, one per epoch: grown from the node's key, so that a restart loses nothing."""

from dataclasses import dataclass, field

from potp2p.foundation.types import Digest, Epoch, Height
from potp2p.protocol.crypto.beacon import beacon_seed, chain_anchor, reveal
from potp2p.protocol.wire.genesis import ConsensusParameters


@dataclass(slots=True)
class BeaconChain:
    """Reveals of this validator; a chain is as long as an epoch."""

    secret: bytes
    parameters: ConsensusParameters
    _anchors: dict[Epoch, Digest] = field(default_factory=dict[Epoch, Digest])

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
        return reveal(beacon_seed(self.secret, Epoch(epoch)), self.length, index + 1)
