"""Own beacon chains: the values are those of the plain walk, whatever was asked before."""

from dataclasses import replace

import pytest

from potp2p.foundation.types import Epoch, Height
from potp2p.protocol.crypto.beacon import beacon_seed, chain_anchor, reveal, verify_reveal
from potp2p.protocol.ledger.genesis import DEVNET_CONSENSUS
from potp2p.services.beacons import STRIDE, BeaconChain

SECRET = b"s" * 32


@pytest.mark.parametrize("cycle_blocks", [1, STRIDE - 1, STRIDE, STRIDE + 1, 3 * STRIDE])
def test_reveals_of_two_epochs_lead_to_their_anchors(cycle_blocks: int) -> None:
    parameters = replace(DEVNET_CONSENSUS, cycle_blocks=cycle_blocks, epoch_cycles=1)
    chain = BeaconChain(SECRET, parameters)
    for height in (1, 2 * cycle_blocks, cycle_blocks, cycle_blocks + 1, 1):
        epoch, index = divmod(height - 1, cycle_blocks)
        seed = beacon_seed(SECRET, Epoch(epoch))
        revealed = chain.reveal(Height(height))
        assert revealed == reveal(seed, cycle_blocks, index + 1)
        verify_reveal(revealed, chain_anchor(seed, cycle_blocks), index + 1)
        assert chain.anchor(Epoch(epoch)) == chain_anchor(seed, cycle_blocks)
