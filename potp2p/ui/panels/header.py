"""Who, what state, how far: the first two lines."""

from typing import Final

from rich.text import Text

from potp2p.observability.status import NodeStatus, StateCode
from potp2p.ui import format as show
from potp2p.ui.cells import Glyphs, line

_WIDE: Final = 100
_WORK: Final = frozenset({StateCode.MINING, StateCode.VALIDATING, StateCode.FOLLOWING})
_WAIT: Final = frozenset({StateCode.STARTING, StateCode.SYNCING})


def render(status: NodeStatus, width: int, glyphs: Glyphs) -> list[Text]:
    """Draw identity and state, then connections and balance."""
    identity, chain, network = status.identity, status.chain, status.network
    dot, style = _dot(status.state, glyphs)
    up = show.duration(status.time - identity.started_at)
    network_name = show.abbreviated(identity.network, 10)
    name = show.abbreviated(identity.name, max(12, width - 68))
    gap = " " if width < _WIDE else "   "
    first = line(
        width,
        glyphs,
        f" potp2p {identity.version}{gap}{network_name}{gap}{name}{gap}",
        (f"{dot} {status.state.upper()}", style),
        f"{gap}up {up}",
        right=f"height {show.count(chain.height)} {_sync_word(status)} ",
    )
    second = line(
        width,
        glyphs,
        f" peers {network.peers} ({network.inbound} in)   bootstrap "
        f"{network.bootstrap_connected}/{network.bootstrap_configured}   "
        f"dn {show.traffic(network.bytes_in)} up {show.traffic(network.bytes_out)}",
        right=f"{show.amount(status.balance)} POT ",
    )
    return [first, second]


def _sync_word(status: NodeStatus) -> str:
    chain = status.chain
    if chain.synced:
        return "synced"
    if chain.target_height is None:
        return "of --"
    return f"of {show.count(chain.target_height)}"


def _dot(state: StateCode, glyphs: Glyphs) -> tuple[str, str]:
    if state in _WORK:
        return glyphs.work, "bold green"
    if state in _WAIT:
        return glyphs.wait, "bold yellow"
    if state is StateCode.ERROR:
        return glyphs.fault, "bold red"
    return glyphs.rest, "bold yellow"
