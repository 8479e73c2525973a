"""What a node is started with: the operator's settings as plain values."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from potp2p.foundation.limits import BLOB_QUOTA_BYTES
from potp2p.foundation.types import AccountId, Amount, TrustedCheckpoint
from potp2p.network.emulation import LinePlan
from potp2p.observability.status import LogLine
from potp2p.protocol.wire.exchange import Role
from potp2p.settings.configuration import Configuration


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of a node; flags, environment and file are settled already."""

    role: Role
    name: str
    version: str
    data_folder: Path
    listen: tuple[str, ...]
    bootstrap: tuple[str, ...]
    announce: tuple[str, ...]
    mdns: bool
    payout: AccountId | None
    """None pays the node's own account."""
    lowest_price: Amount
    devices: tuple[str, ...]
    """torch names; empty means every device that torch finds."""
    blob_quota_bytes: int = BLOB_QUOTA_BYTES
    """Disk for data, payloads and checkpoints."""
    checkpoint: TrustedCheckpoint | None = None
    """What a new node begins with: the state at a block that the operator vouches for."""
    log: Callable[[LogLine], None] | None = None
    line: LinePlan | None = None
    """What the network adapter emulates in a measurement."""


def launch_of(
    configuration: Configuration,
    data_folder: Path,
    version: str,
    log: Callable[[LogLine], None] | None = None,
) -> Launch:
    """Return the start that a configuration describes."""
    return Launch(
        role=Role[configuration.node.role.name],
        name=configuration.node.name,
        version=version,
        data_folder=data_folder,
        listen=configuration.network.listen,
        bootstrap=configuration.network.bootstrap,
        announce=configuration.network.announce,
        mdns=configuration.network.mdns,
        payout=configuration.payout,
        lowest_price=configuration.lowest_price,
        devices=configuration.miner.devices,
        blob_quota_bytes=configuration.node.disk_quota_mib << 20,
        checkpoint=configuration.checkpoint,
        log=log,
    )
