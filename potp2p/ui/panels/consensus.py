"""Progress of the local replica in the committee."""

from rich.text import Text

from potp2p.observability.status import NodeStatus
from potp2p.ui import format as show
from potp2p.ui.cells import Glyphs, line


def render(status: NodeStatus, width: int, glyphs: Glyphs) -> list[Text]:
    """Draw the vote in progress and the last seal."""
    consensus, chain = status.consensus, status.chain
    if consensus is None:
        return [line(width, glyphs, (" this node does not vote", "dim"))]
    seat = show.UNKNOWN if consensus.seat is None else str(consensus.seat)
    missing = ", ".join(str(index) for index in consensus.missing) or "nobody"
    return [
        line(
            width,
            glyphs,
            f" seat {seat} of {chain.validators}   height {show.count(consensus.height)}   "
            f"view {consensus.view}   {consensus.phase}",
            right=f"prepares {consensus.prepares}/{consensus.quorum}   "
            f"commits {consensus.commits}/{consensus.quorum} ",
        ),
        line(
            width,
            glyphs,
            f" last seal {show.count(chain.last_signers)}/{chain.validators}   missing {missing}",
            right=f"view changes since start {show.count(consensus.view_changes)} ",
        ),
    ]
