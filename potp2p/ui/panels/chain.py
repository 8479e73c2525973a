"""Where the chain stands."""

from rich.text import Text

from potp2p.observability.status import NodeStatus
from potp2p.ui import format as show
from potp2p.ui.cells import Glyphs, line


def render(status: NodeStatus, width: int, glyphs: Glyphs) -> list[Text]:
    """Draw the last block and the money."""
    chain = status.chain
    age = None if chain.block_time is None else status.time - chain.block_time
    author = "primary's own" if chain.last_rank is None else f"rank {chain.last_rank}"
    if chain.height == 0:
        author = show.UNKNOWN
    return [
        line(
            width,
            glyphs,
            f" last block {show.ago(age)}   author {author}   view {show.count(chain.last_view)}   "
            f"signed {show.count(chain.last_signers)}/{chain.validators}",
            right=f"pending {show.count(chain.pending_transactions)} tx ",
        ),
        line(
            width,
            glyphs,
            f" epoch {chain.epoch}   cycle {chain.cycle}   state {show.digest(chain.state_root)}",
            right=f"supply {show.amount(chain.supply)}   burned {show.amount(chain.burned)} POT ",
        ),
    ]
