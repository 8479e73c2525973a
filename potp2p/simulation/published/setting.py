"""What may differ between networks that run the published set-up."""

from dataclasses import asdict, dataclass, replace
from typing import Final

from potp2p.foundation.limits import BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX, GOSSIP_BYTES_MAX
from potp2p.protocol.consensus.view_change import Timing
from potp2p.protocol.wire.genesis import ConsensusParameters
from potp2p.services.outbox import BATCH_SECONDS_MIN

BATCH_MILLISECONDS_MIN: Final = round(1_000 * BATCH_SECONDS_MIN)
"""What a validator waits at least before it gossips what was submitted to it: the node's own."""
MESH_DEGREE: Final = 6
"""GossipSub's recommendation, and the node's own."""
TRANSACTION_BYTES: Final = 300


@dataclass(frozen=True, slots=True)
class Setting:
    """Genesis parameters and limits of one network; times in milliseconds."""

    name: str
    block_interval: int
    view_timeout: int
    view_step: int
    view_cap: int
    batch: int
    """A batch of submitted transactions fills for so long before it is gossiped."""
    transactions_max: int = BLOCK_TRANSACTIONS_MAX
    block_bytes_max: int = BLOCK_BYTES_MAX
    mesh_degree: int = MESH_DEGREE
    """0: who was handed a transaction sends it to every validator itself, and nobody forwards."""
    shared_links: bool = True
    """A node's connections share its link; otherwise each has the whole rate for itself."""
    gossip_bytes_max: int = GOSSIP_BYTES_MAX
    transaction_bytes: int = TRANSACTION_BYTES

    @property
    def timing(self) -> Timing:
        """Return the clock of the replicas."""
        return Timing(self.block_interval, self.view_timeout, self.view_step, self.view_cap)

    @property
    def block_transactions(self) -> int:
        """Return how many transactions of the published size one block takes."""
        return min(self.transactions_max, self.block_bytes_max // (self.transaction_bytes + 4))

    def document(self) -> dict[str, object]:
        """Return everything, to be printed beside every figure."""
        return {**asdict(self), "block_transactions": self.block_transactions}


def setting_of(parameters: ConsensusParameters) -> Setting:
    """Return a network with the parameters of a genesis document and the node's own limits."""
    return Setting(
        name="default",
        block_interval=parameters.block_interval,
        view_timeout=parameters.view_timeout,
        view_step=parameters.view_step,
        view_cap=parameters.view_cap,
        batch=max(parameters.block_interval, BATCH_MILLISECONDS_MIN),
    )


def wide(default: Setting, interval: int, transactions: int) -> Setting:
    """Return a network for the published loads: blocks that hold them, timers for its latencies."""
    return replace(
        default,
        name="wide",
        block_interval=interval,
        batch=BATCH_MILLISECONDS_MIN,
        view_timeout=3_000,
        view_step=2_000,
        view_cap=30_000,
        transactions_max=transactions,
        block_bytes_max=transactions * (default.transaction_bytes + 4),
    )
