"""Which cycle and epoch a height falls into: every rule counts heights, never time."""

from potp2p.foundation.types import Cycle, Epoch, Height
from potp2p.protocol.wire.genesis import ConsensusParameters


def epoch_blocks(consensus: ConsensusParameters) -> int:
    """Return how many blocks an epoch has."""
    return consensus.cycle_blocks * consensus.epoch_cycles


def cycle_of(height: Height, consensus: ConsensusParameters) -> Cycle:
    """Return the cycle of a height; the first block opens cycle 0."""
    return Cycle((height - 1) // consensus.cycle_blocks)


def epoch_of(height: Height, consensus: ConsensusParameters) -> Epoch:
    """Return the epoch of a height; the first block opens epoch 0."""
    return Epoch((height - 1) // epoch_blocks(consensus))


def last_of(epoch: Epoch, consensus: ConsensusParameters) -> Height:
    """Return the last height of an epoch, whose header announces the seats of the next."""
    return Height((epoch + 1) * epoch_blocks(consensus))


def reveal_position(height: Height, consensus: ConsensusParameters) -> int:
    """Return how many hashes lead from a height's reveal to its epoch's anchor."""
    return (height - 1) % epoch_blocks(consensus) + 1
