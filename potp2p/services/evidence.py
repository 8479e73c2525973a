"""
Proofs of double signatures, from the moment they are seen until they stand on the chain.

A proof is kept on disk and said again like every statement: a single validator may hold it, and
whoever signed twice may write blocks that leave it out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from potp2p.foundation.limits import EVIDENCE_HELD_MAX
from potp2p.foundation.types import Height, NodeId
from potp2p.protocol.consensus.effects import Accuse
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.ledger.evidence import is_open, offender_of
from potp2p.protocol.wire.blocks import AuthoredBody
from potp2p.protocol.wire.schema import decode, encode
from potp2p.protocol.wire.transactions import (
    DuplicateBody,
    DuplicateVote,
    Evidence,
    EvidenceNote,
    Free,
    SignedBody,
    SignedStatement,
)
from potp2p.services.chain import ChainService
from potp2p.storage.ports import Notebook

EVIDENCE: Final = b"evidence/"


@dataclass(slots=True)
class EvidenceService:
    """Owner of the proofs that this node holds; ends by cancellation."""

    own: NodeId
    chain: ChainService
    notebook: Notebook
    say: Callable[[Free], None]
    tell: Callable[[str, str], None]
    _held: dict[bytes, Evidence] = field(default_factory=dict[bytes, Evidence])
    _unkept: dict[bytes, Evidence] = field(default_factory=dict[bytes, Evidence])
    _arrived: trio.Event = field(default_factory=trio.Event)

    def __post_init__(self) -> None:
        for name in self.notebook.names(EVIDENCE):
            note = self.notebook.get(name)
            if note is not None:
                self._held[name] = decode(EvidenceNote, note).evidence

    def __len__(self) -> int:
        return len(self._held)

    def accuse_voter(self, found: Accuse) -> None:
        """Take two statements that consensus has verified."""
        first, second = found.first, found.second
        self._take(
            DuplicateVote(
                SignedStatement(first.statement, first.signature),
                SignedStatement(second.statement, second.signature),
            )
        )

    def accuse_author(self, first: AuthoredBody, second: AuthoredBody) -> None:
        """Take two bodies of one author and height that authoring has verified."""
        self._take(
            DuplicateBody(
                SignedBody(first.body, first.author_signature),
                SignedBody(second.body, second.author_signature),
            )
        )

    async def run(self) -> None:
        """Keep what comes, say what is open at every height, forget the rest."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep)
            nursery.start_soon(self._repeat)

    def _take(self, action: Evidence) -> None:
        if len(self._held) >= EVIDENCE_HELD_MAX or not self._is_open(action):
            return
        name = EVIDENCE + sha256(encode(EvidenceNote(action)))
        if name in self._held:
            return
        offender = offender_of(self.chain.state(), action, self.chain.ledger.genesis)
        self.tell("chain", f"{offender.hex()[:12]} signed two things where one is allowed")
        self._held[name] = self._unkept[name] = action
        self._arrived.set()

    def _is_open(self, action: Evidence) -> bool:
        """Tell whether to go on about it: nobody is asked to accuse itself."""
        genesis, state = self.chain.ledger.genesis, self.chain.state()
        if not is_open(state, action, genesis, Height(self.chain.head.height + 1)):
            return False
        return offender_of(state, action, genesis) != self.own

    async def _keep(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            while self._unkept:
                name, action = self._unkept.popitem()
                await self.notebook.put(name, encode(EvidenceNote(action)))
                self.say(action)

    async def _repeat(self) -> None:
        height = self.chain.head.height
        while True:
            over = [name for name, action in self._held.items() if not self._is_open(action)]
            for name in over:
                del self._held[name]
                self._unkept.pop(name, None)
            if over:
                await self.notebook.remove(over)
            for action in list(self._held.values()):
                self.say(action)
            height = await self.chain.bell.wait_above(height)
