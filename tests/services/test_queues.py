"""No unbounded queue: every channel has a number, every deque of the node a bound that is named."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
ROOMS: Final = (
    "api", "client", "exchange", "network", "node", "observability", "services", "storage",
    "training", "workers",
)  # fmt: skip
BOUNDS: Final[dict[str, str]] = {
    "potp2p/network/adapter.py::Network._to_expel": (
        "one entry per fault, emptied by a task that waits for nothing in between; rates of "
        "`Conduct` bound the faults of a peer, CONNECTIONS_MAX the peers"
    ),
    "potp2p/network/adapter.py::Network._to_identify": (
        "one entry per connection that was identified, CONNECTIONS_MAX at a time"
    ),
    "potp2p/network/emulation.py::DelayedWriter._under_way": "the bytes of its line; waits above",
    "potp2p/network/gossip.py::Inbox._sizes": "messages_max of its channel, and INBOX_BYTES_MAX",
    "potp2p/network/providers.py::ProviderRecords._waiting": "PROVIDE_QUEUE_MAX",
    "potp2p/network/streams.py::_Lane.waiting": "POST_QUEUE_MAX and POST_QUEUE_BYTES_MAX",
    "potp2p/network/streams.py::LibraryStreams._new_lanes": "as many as there are lanes",
    "potp2p/network/yamux.py::YamuxConnection._accepted": (
        "STREAMS_INBOUND_MAX, and CONTROL_BYTES_MAX of answers for those reset at once"
    ),
    "potp2p/network/yamux.py::YamuxConnection._outgoing": (
        "OUTGOING_BYTES_MAX; senders wait above, what a peer makes us owe ends the connection"
    ),
    "potp2p/observability/loop_hold.py::LoopHoldMeter._slices": "maxlen",
    "potp2p/services/consensus.py::ConsensusService._effects": (
        "what one batch of CONSENSUS_BATCH_MAX events leads to; emptied before the next"
    ),
    "potp2p/services/consensus_edge.py::EarlyFrames.by_peer": "EARLY_FRAMES_MAX, EARLY_BYTES_MAX",
    "potp2p/services/logbook.py::LogBook._lines": "maxlen",
    "potp2p/services/outbox.py::OutboxService._waiting": "maxlen",
    "potp2p/services/outcomes.py::OwnOutcomes._settled": "maxlen",
    "potp2p/workers/process.py::WorkerProcess._received": (
        "the reports of one read of READ_BYTES; the next read waits until they are taken"
    ),
    "potp2p/workers/supervisor.py::_Device._ended_at": "restarts_max, then a pause",
}
"""What bounds each deque."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    for room in ROOMS:
        for path in sorted((ROOT / "potp2p" / room).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def deques(name: str, module: ast.Module) -> Iterator[str]:
    """Yield the attributes of a module's classes that are, or hold, a deque."""
    for kind in ast.walk(module):
        if not isinstance(kind, ast.ClassDef):
            continue
        for node in ast.walk(kind):
            if isinstance(node, ast.AnnAssign) and "deque[" in ast.unparse(node.annotation):
                yield f"{name}::{kind.name}.{ast.unparse(node.target).removeprefix('self.')}"


def channels(name: str, module: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield each place that opens a memory channel, with the size it asks for."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and "open_memory_channel" in ast.unparse(node.func):
            yield f"{name}:{node.lineno}", ast.unparse(node.args[0]) if node.args else ""


def test_every_deque_of_the_node_has_a_bound_that_is_named() -> None:
    found = {each for name, module in sources() for each in deques(name, module)}

    assert sorted(found - set(BOUNDS)) == [], "bound it, and say here by what"
    assert sorted(set(BOUNDS) - found) == [], "it is gone: so is its line"


def test_every_channel_of_the_node_has_a_finite_size() -> None:
    found = [each for name, module in sources() for each in channels(name, module)]

    assert found, "the search finds channels at all"
    assert [each for each in found if not each[1] or "inf" in each[1]] == []


def test_a_deque_or_channel_without_bound_would_be_found() -> None:
    planted = ast.parse(
        "class A:\n"
        "    def __init__(self) -> None:\n"
        "        self._waiting: deque[bytes] = deque()\n"
        "        self.out, self.channel = trio.open_memory_channel[int](math.inf)\n"
    )
    assert list(deques("planted", planted)) == ["planted::A._waiting"]
    assert list(channels("planted", planted)) == [("planted:4", "math.inf")]
