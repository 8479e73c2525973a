"""Reads what the nodes tell about themselves, twice a second."""

from collections.abc import Sequence
from typing import Final, cast

import trio

from potp2p.api.status_client import read_status
from potp2p.devnet.layout import Member
from potp2p.devnet.progress import NodeView, Progress
from potp2p.foundation.errors import OperatingError
from potp2p.observability.representation import Document, decode_document

LOOK_SECONDS: Final = 0.5
ANSWER_SECONDS: Final = 1.0
ROOTS_KEPT: Final = 256
"""Heights whose roots are remembered per node: two minutes of devnet blocks."""


async def observe(members: Sequence[Member], progress: Progress) -> None:
    """Keep the views of all nodes fresh until cancelled."""
    while True:
        async with trio.open_nursery() as nursery:
            for member in members:
                nursery.start_soon(_look, member, progress.nodes[member.name])
        await trio.sleep(LOOK_SECONDS)


async def _look(member: Member, view: NodeView) -> None:
    try:
        encoded = await trio.to_thread.run_sync(read_status, member.status_socket, ANSWER_SECONDS)
        take_in(view, decode_document(encoded))
    except OperatingError:
        # It starts, or is gone: a stale number would be a lie.
        view.state = view.height = view.peers = None


def take_in(view: NodeView, document: Document) -> None:
    """Copy what a status document says into a view; what it does not say is unknown."""
    chain, sync, miner = (_part(document, name) for name in ("chain", "sync", "miner"))
    view.state = _text(_part(document, "state").get("code"))
    view.height = _number(sync.get("height"))
    view.peers = _number(_part(document, "p2p").get("peers"))
    view.accepted = _number(_part(miner, "units").get("accepted"))
    view.earned = _text(_part(miner, "earned").get("total"))
    for written, root in _part(chain, "recent_roots").items():
        if written.isdecimal() and isinstance(root, str):
            view.roots[int(written)] = root
    newest = _text(chain.get("state_root"))
    if view.height is not None and newest is not None:
        view.roots[view.height] = newest
    for height in sorted(view.roots)[:-ROOTS_KEPT]:
        del view.roots[height]


def common_roots(views: Sequence[NodeView]) -> tuple[int, dict[str, str]] | None:
    """Return the greatest height of which every node has told the root, and those roots."""
    if not views:
        return None
    shared = set.intersection(*(set(view.roots) for view in views))
    if not shared:
        return None
    height = max(shared)
    return height, {view.name: view.roots[height] for view in views}


def _part(document: Document, name: str) -> Document:
    part = document.get(name)
    return cast("Document", part) if isinstance(part, dict) else {}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
