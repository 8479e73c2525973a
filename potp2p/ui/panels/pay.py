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
            f" {_standing(miner)}   bond {_bond(miner)} POT",
            right=f"payout {show.abbreviated(status.identity.payout, 18)} ",
        ),
        line(width, glyphs, f" earned {show.amount(miner.earned)} POT in all   ", _last(miner)),
    ]


def _bond(miner: MinerStatus) -> str:
    """Return a bond, with what it should be where a newcomer's is on its way there."""
    if miner.bond >= miner.bond_wanted:
        return show.amount(miner.bond)
    return f"{show.amount(miner.bond)} of {show.amount(miner.bond_wanted)}"


def _last(miner: MinerStatus) -> tuple[str, str]:
    """Return the last thing that ended, or is being decided, with its colour."""
    lines = (*miner.outcomes, *miner.under_audit)
    if not lines:
        return "as paid on chain", ""
    worst = [each for each in lines if each.outcome == "slashed"]
    shown = worst[-1] if worst else lines[-1]
    place = f"{shown.round}:{shown.shard}"
    return f"{place} {shown.reason}", "red" if worst else ""


def _standing(miner: MinerStatus) -> str:
    if not miner.registered:
        return "not registered yet"
    if miner.banned_until is not None:
        return f"banned until {show.count(miner.banned_until)}"
    if miner.suspended:
        return "suspended"
    return "registered, live" if miner.live else "registered, not live"
