"""Where other validators' frames come in: signatures, early frames, and rates of answers."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from potp2p.foundation.limits import (
    EARLY_BYTES_MAX,
    EARLY_FRAMES_MAX,
    EARLY_HEIGHTS_MAX,
    NEWS_AT_ONCE_MAX,
    NEWS_PER_VIEW_MAX,
    VERIFIED_SIGNATURES_MAX,
)
from potp2p.foundation.types import ChainId, Height, NodeId, Signature, ValidatorIndex, View
from potp2p.network.ports import Heard
from potp2p.protocol.consensus.events import HeightStarted
from potp2p.protocol.consensus.justification import verify_message
from potp2p.protocol.crypto.signing import verify_signature
from potp2p.protocol.wire.consensus import SignedMessage, Statement, signed_parts
from potp2p.protocol.wire.schema import encode


@dataclass(slots=True)
class MessageVerifier:
    """Checks whole messages; remembers good signatures, since proofs repeat what came alone."""

    chain_id: ChainId
    _good: OrderedDict[tuple[NodeId, Signature, Statement], None] = field(
        default_factory=OrderedDict[tuple[NodeId, Signature, Statement], None]
    )

    def verify(self, facts: HeightStarted, message: SignedMessage) -> None:
        """Raise PeerError unless a message of this height is complete and truly signed."""
        verify_message(facts, message)
        for statement, signature in signed_parts(message):
            self._verify_part(facts.validators[statement.signer], statement, signature)

    def _verify_part(self, node: NodeId, statement: Statement, signature: Signature) -> None:
        key = (node, signature, statement)
        if key in self._good:
            self._good.move_to_end(key)
            return
        verify_signature(node, signature, statement.DOMAIN, self.chain_id, encode(statement))
        self._good[key] = None
        if len(self._good) > VERIFIED_SIGNATURES_MAX:
            self._good.popitem(last=False)


@dataclass(slots=True)
class EarlyFrames:
    """
    Frames of heights that we have not reached, unverified, bounded for each peer.

    A full share of a peer loses its own newest frames, never those of others.
    """

    by_peer: dict[NodeId, deque[tuple[Height, Heard]]] = field(
        default_factory=dict[NodeId, "deque[tuple[Height, Heard]]"]
    )

    def keep(self, current: Height, height: Height, heard: Heard) -> None:
        """Keep a frame of a height shortly above ours."""
        if not current < height <= current + EARLY_HEIGHTS_MAX:
            return
        frames = self.by_peer.setdefault(heard.source, deque())
        size = sum(len(each.body) for _, each in frames)
        if len(frames) < EARLY_FRAMES_MAX and size + len(heard.body) <= EARLY_BYTES_MAX:
            frames.append((height, heard))

    def take(self, height: Height) -> list[Heard]:
        """Hand out the frames of a height that begins, and forget those below."""
        due: list[Heard] = []
        for peer, frames in list(self.by_peer.items()):
            due += [heard for kept, heard in frames if kept == height]
            later = deque((kept, heard) for kept, heard in frames if kept > height)
            if later:
                self.by_peer[peer] = later
            else:
                del self.by_peer[peer]
        return due


@dataclass(slots=True)
class NewsBudget:
    """
    How much one signer may add to the journal at one height.

    An honest one says at most four things in a view, and liars alone cannot raise our view.
    """

    _counts: dict[ValidatorIndex, int] = field(default_factory=dict[ValidatorIndex, int])

    def admits(self, signer: ValidatorIndex, view: View) -> bool:
        """Tell whether a signer has budget left, and spend one unit of it."""
        spent = self._counts.get(signer, 0)
        self._counts[signer] = spent + 1
        return spent < NEWS_AT_ONCE_MAX + NEWS_PER_VIEW_MAX * view

    def forget(self) -> None:
        """Start afresh at a new height."""
        self._counts.clear()


@dataclass(slots=True)
class AnswerGate:
    """Least time between two costly answers of one kind to one peer."""

    interval_seconds: float
    _last: dict[tuple[NodeId, object], float] = field(
        default_factory=dict[tuple[NodeId, object], float]
    )

    def admits(self, peer: NodeId, subject: object, now: float) -> bool:
        """Tell whether to answer, and count it as answered if so."""
        last = self._last.get((peer, subject))
        if last is not None and now - last < self.interval_seconds:
            return False
        self._last[peer, subject] = now
        return True

    def forget(self) -> None:
        """Start afresh at a new height, so that the table stays small."""
        self._last.clear()
