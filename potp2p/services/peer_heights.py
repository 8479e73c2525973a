"""
What peers say about their heights, and who kept his word.

A claim is only a reason to ask. A peer that does not serve what it claimed loses the claim and is
asked after all others for a while; what it then proves by blocks restores it.
"""

from collections.abc import Container
from dataclasses import dataclass, field

import trio

from potp2p.foundation.limits import DOUBT_SECONDS, PEERS_REMEMBERED_MAX
from potp2p.foundation.types import GENESIS_HEIGHT, Height, NodeId


@dataclass(slots=True)
class PeerHeights:
    """Claims, doubts, and how quick each peer was."""

    claims: dict[NodeId, Height] = field(default_factory=dict[NodeId, Height])
    _doubted: dict[NodeId, float] = field(default_factory=dict[NodeId, float])
    """Until when a peer is asked last."""
    _seconds: dict[NodeId, float] = field(default_factory=dict[NodeId, float])
    """What an answer of a peer took lately."""
    _raised: trio.Event = field(default_factory=trio.Event)

    @property
    def target(self) -> Height | None:
        """Return the highest claim of a peer who kept his word; None without one."""
        now = trio.current_time()
        believed = [at for peer, at in self.claims.items() if self._doubted.get(peer, now) <= now]
        return max(believed, default=None)

    @property
    def highest(self) -> Height:
        """Return the highest claim of all, doubted or not."""
        return max(self.claims.values(), default=GENESIS_HEIGHT)

    def say(self, peer: NodeId, height: Height) -> None:
        """Replace a peer's claim by what it says now."""
        self.claims.pop(peer, None)
        self.rise(peer, height)

    def rise(self, peer: NodeId, height: Height) -> None:
        """Note a claim heard by the way: those only rise."""
        if peer not in self.claims and len(self.claims) >= PEERS_REMEMBERED_MAX:
            return
        before = self.claims.get(peer, GENESIS_HEIGHT)
        self.claims[peer] = max(height, before)
        if height > before:
            self._raised.set()

    async def raised(self) -> None:
        """Return at the next claim that is higher than its peer's last, or was just now."""
        await self._raised.wait()
        self._raised = trio.Event()

    def keep_only(self, connected: Container[NodeId]) -> None:
        """Forget the claims of peers that are gone."""
        for gone in [peer for peer in self.claims if peer not in connected]:
            del self.claims[gone]
            self._seconds.pop(gone, None)

    def doubt(self, peer: NodeId, served: Height | None = None) -> None:
        """Forget a claim that was not kept, but for what the peer did serve."""
        self.claims.pop(peer, None)
        if served is not None:
            self.claims[peer] = served
        self._doubted.pop(peer, None)
        while len(self._doubted) >= PEERS_REMEMBERED_MAX:
            del self._doubted[next(iter(self._doubted))]
        self._doubted[peer] = trio.current_time() + DOUBT_SECONDS

    def note_seconds(self, peer: NodeId, seconds: float) -> None:
        """Note what an answer took."""
        self._seconds[peer] = (self._seconds.get(peer, seconds) + seconds) / 2

    def above(self, height: Height) -> list[NodeId]:
        """Return who claims at least a height, quick ones first; the doubted only if all are."""
        now = trio.current_time()
        for over in [peer for peer, until in self._doubted.items() if until <= now]:
            del self._doubted[over]
        able = [peer for peer, at in self.claims.items() if at >= height]
        able = [peer for peer in able if peer not in self._doubted] or able
        # An unknown peer comes first: it costs one request to know it.
        return sorted(able, key=lambda peer: (self._seconds.get(peer, 0.0), peer))
