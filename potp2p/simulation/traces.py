"""Everything that happens in a run, as one hash and, where asked for, as lines to read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

import trio

from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import NodeId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.crypto.hashing import sha256 as digest_of
from potp2p.protocol.wire.consensus import (
    Proposal,
    ProvenViewChange,
    SealNotice,
    SignedCommit,
    SignedPrepare,
    Status,
    decode_frame,
)
from potp2p.simulation.transits import Fate, Transit


class _Hash(Protocol):
    """What a running hash can do."""

    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""

    def hexdigest(self) -> str:
        """Return the hash of all that was taken in."""


@dataclass(slots=True)
class Trace:
    """
    A running hash over times and happenings: two runs with one hash went the same way.

    Lines are made only when somebody writes them down.
    """

    write: Callable[[str], None] | None = None
    names: dict[NodeId, str] = field(default_factory=dict[NodeId, str])
    messages: int = 0
    _hash: _Hash = field(default_factory=sha256)

    def note(self, kind: str, *words: str) -> None:
        """Take note of something that happened now."""
        line = f"{round(trio.current_time() * 1_000_000):>10} {kind:<10} {' '.join(words)}"
        self._hash.update(line.encode() + b"\n")
        if self.write is not None:
            self.write(line)

    def message(self, fate: Fate, transit: Transit) -> None:
        """Take note of a message that was sent, lost or delivered."""
        self.messages += 1
        parts = (
            round(trio.current_time() * 1_000_000).to_bytes(8, "big"),
            fate.encode(),
            transit.sender,
            transit.receiver,
            transit.channel.encode(),
            digest_of(transit.body),
        )
        self._hash.update(b"".join(parts))
        if self.write is not None:
            sender, receiver = (
                self.names.get(each, each.hex()[:8]) for each in (transit.sender, transit.receiver)
            )
            self.write(
                f"{round(trio.current_time() * 1_000_000):>10} {fate:<10} "
                f"{sender} to {receiver}: {transit.channel} {words_of(transit)} "
                f"({len(transit.body)} bytes, {digest_of(transit.body).hex()[:8]})"
            )

    def digest(self) -> str:
        """Return the hash of all that happened up to now."""
        return self._hash.hexdigest()


def words_of(transit: Transit) -> str:
    """Return what a message says, as far as a reader of traces wants to know."""
    if transit.channel is not StreamProtocol.CONSENSUS:
        return ""
    try:
        frame = decode_frame(transit.body)
    except PeerError as error:
        return f"unreadable: {error.detail}"
    match frame:
        case SignedPrepare(said) | SignedCommit(said) | Proposal(said):
            return f"{type(said).__name__} {said.height}/{said.view} {said.block_hash.hex()[:8]}"
        case ProvenViewChange(said):
            claim = "" if said.prepared is None else f" prepared in {said.prepared.view}"
            return f"ViewChange {said.height}/{said.view}{claim}"
        case Status(height, view):
            return f"Status {height}/{view}"
        case SealNotice(seal):
            return f"SealNotice {seal.height} {seal.block_hash.hex()[:8]}"
        case _:
            return type(frame).__name__
