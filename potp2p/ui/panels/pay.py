"""What the chain counts of this miner."""

from rich.text import Text

from potp2p.observability.status import MinerStatus, NodeStatus
from potp2p.ui import format as show
from potp2p.ui.cells import Glyphs, line


def render(status: NodeStatus, width: int, glyphs: Glyphs) -> list[Text]:
    """Draw counts, standing and pay of a miner in three lines."""
    miner = status.miner
    if miner is None:
        return [line(width, glyphs, (" this node does not mine", "dim"))]
    last = None if miner.last_accepted_at is None else status.time - miner.last_accepted_at
    return [
        line(
            width,
            glyphs,
            f" accepted {show.count(miner.accepted)}   rejected ",
            (show.count(miner.rejected), "red" if miner.rejected else ""),
            f"   missed {show.count(miner.missed)}   being checked {show.count(miner.in_audit)}",
            right=f"last accepted {show.ago(last)} ",
        ),
        line(
            width,
            glyphs,
            f" {_standing(miner)}   bond {show.amount(miner.bond)} POT",
            right=f"payout {show.abbreviated(status.identity.payout, 18)} ",
        ),
        line(width, glyphs, f" earned {show.amount(miner.earned)} POT in all, as paid on chain"),
    ]


def _standing(miner: MinerStatus) -> str:
    if not miner.registered:
        return "not registered yet"
    return "registered, live" if miner.live else "registered, not live"
