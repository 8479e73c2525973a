"""What stays on the terminal when a node has stopped."""

from potp2p.observability.status import NodeStatus
from potp2p.ui import format as show


def summary_lines(status: NodeStatus, restart_command: str) -> list[str]:
    """Return five lines: run time, work, money, chain, how to start again."""
    identity, miner, chain = status.identity, status.miner, status.chain
    work = (
        f"{identity.role}, no mining"
        if miner is None
        else f"accepted {show.count(miner.accepted)}, rejected {show.count(miner.rejected)}, "
        f"missed {show.count(miner.missed)}"
    )
    earned = "" if miner is None else f", earned {show.amount(miner.earned)} POT in all"
    return [
        f"ran      {show.duration(status.time - identity.started_at)} as {identity.name}",
        f"work     {work}",
        f"money    balance {show.amount(status.balance)} POT{earned}",
        f"chain    height {show.count(chain.height)}, {status.state}",
        f"again    {restart_command}",
    ]
