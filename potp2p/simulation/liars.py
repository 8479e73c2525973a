"""
Byzantine validators and bad authors: hands on what leaves a whole, honest node.

A liar holds its own key and may sign anything with it; what others signed it can repeat or hide,
never alter. Frames that a kind of liar has no use for pass as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from potp2p.foundation.errors import PeerError
from potp2p.foundation.limits import BLOCK_BYTES_MAX
from potp2p.foundation.types import ChainId, Digest, Height, NodeId, Signature, View
from potp2p.network.ports import StreamProtocol, Topic
from potp2p.protocol.crypto.identity import KeyPair
from potp2p.protocol.crypto.signing import sign
from potp2p.protocol.ledger.validity import block_hash
from potp2p.protocol.wire.blocks import (
    BODY_DOMAIN,
    RANK_NONE,
    AuthoredBody,
    Block,
    BlockBody,
    Header,
)
from potp2p.protocol.wire.consensus import (
    BlockPush,
    BlockSketch,
    ConsensusFrame,
    Proposal,
    ProvenViewChange,
    SignedCommit,
    SignedPrepare,
    Statement,
    Status,
    TransactionsReply,
    ViewChange,
    decode_frame,
    encode_frame,
)
from potp2p.protocol.wire.exchange import BlocksReply, Hello, SealedBlock
from potp2p.protocol.wire.schema import decode, encode
from potp2p.simulation.plans import Idleness, Lie
from potp2p.simulation.transits import Transit

FAR_AHEAD = 1_000_000
NOWHERE = Digest(b"\x66" * 32)


@dataclass(slots=True)
class Liar:
    """One Byzantine validator; the node behind it knows nothing of its lies."""

    keys: KeyPair
    chain_id: ChainId
    lie: Lie
    others: tuple[NodeId, ...]
    """The other seats, in order."""
    _other_blocks: dict[Digest, Digest] = field(default_factory=dict[Digest, Digest])
    """What it says elsewhere, or everywhere, instead of a block of its own."""

    def is_deaf(self, transit: Transit) -> bool:
        """Tell whether it ignores a message: who skips authors never hears their bodies."""
        return self.lie in {Lie.SKIP, Lie.EQUIVOCATE, Lie.BAD_BLOCK} and (
            transit.channel is StreamProtocol.BODIES
        )

    def send(self, transit: Transit) -> Sequence[Transit]:
        """Return what leaves instead of a message."""
        if self.lie is Lie.SILENT:
            return ()
        if transit.channel is Topic.BLOCKS and self.lie is Lie.HEIGHTS:
            return (replace(transit, body=_forged_news(transit.body)),)
        if transit.channel is not StreamProtocol.CONSENSUS:
            return (transit,)
        said = self._say(decode_frame(transit.body), transit.receiver)
        return tuple(replace(transit, body=encode_frame(frame)) for frame in said)

    def answer(self, protocol: StreamProtocol, reply: bytes) -> bytes:
        """Return what is answered instead of the truth."""
        if self.lie is not Lie.HEIGHTS:
            return reply
        if protocol is StreamProtocol.HELLO:
            hello = decode(Hello, reply)
            return encode(replace(hello, height=Height(hello.height + FAR_AHEAD)))
        if protocol is StreamProtocol.BLOCKS:
            found = decode(BlocksReply, reply)
            return encode(BlocksReply(tuple(_forged_news(each) for each in found.blocks)))
        return reply

    def _say(self, frame: ConsensusFrame, receiver: NodeId) -> Sequence[ConsensusFrame]:
        match self.lie:
            case Lie.MUTE_PRIMARY:
                return () if isinstance(frame, Proposal | BlockPush | BlockSketch) else (frame,)
            case Lie.WITHHOLD:
                is_body = isinstance(frame, BlockPush | BlockSketch | TransactionsReply)
                kept = is_body and receiver != self.others[0]
                return () if kept else (frame,)
            case Lie.EQUIVOCATE:
                odd = self.others.index(receiver) % 2 if receiver in self.others else 0
                return self._elsewhere(frame) if odd else (frame,)
            case Lie.BAD_BLOCK:
                return self._elsewhere(frame)
            case Lie.HEIGHTS:
                if isinstance(frame, Status):
                    return (replace(frame, height=Height(frame.height + FAR_AHEAD)),)
                return (frame,)
            case Lie.RACE:
                return self._race(frame)
            case Lie.DENY:
                return self._deny(frame)
            case Lie.SILENT | Lie.SKIP:
                return (frame,)
            case _:
                assert_never(self.lie)

    def _signed(self, statement: Statement) -> Signature:
        return sign(self.keys, statement.DOMAIN, self.chain_id, encode(statement))

    def _elsewhere(self, frame: ConsensusFrame) -> Sequence[ConsensusFrame]:
        """Say of another block of one's own what was said of the first."""
        match frame:
            case BlockPush(height, encoded):
                return (BlockPush(height, self._other_block(encoded)),)
            case BlockSketch(header):
                # Its short ids are those of the first block: nobody can put the second together.
                return (replace(frame, header=self._other_header(header)),)
            case Proposal(offer) if frame.certificate is None:
                other = replace(offer, block_hash=self._other(offer.block_hash))
                return (replace(frame, statement=other, signature=self._signed(other)),)
            case SignedPrepare(vote):
                prepare = replace(vote, block_hash=self._other(vote.block_hash))
                return (SignedPrepare(prepare, self._signed(prepare)),)
            case SignedCommit(promise):
                commit = replace(promise, block_hash=self._other(promise.block_hash))
                return (SignedCommit(commit, self._signed(commit)),)
            case _:
                return (frame,)

    def _other(self, name: Digest) -> Digest:
        return self._other_blocks.get(name, name)

    def _other_block(self, encoded: bytes) -> bytes:
        """Return a second block in the place of an own one; those of others cannot be altered."""
        block = decode(Block, encoded, bytes_max=2 * BLOCK_BYTES_MAX)
        return encode(replace(block, header=self._other_header(block.header)))

    def _other_header(self, header: Header) -> Header:
        body = header.body
        if body.rank != RANK_NONE or body.author != self.keys.node_id:
            return header
        if self.lie is Lie.BAD_BLOCK:
            body = replace(body, state_root=NOWHERE)
        else:
            body = replace(body, time_milliseconds=body.time_milliseconds + 1)
        signature = _sign_body(self.keys, self.chain_id, body)
        forged = replace(header, body=body, author_signature=signature)
        self._other_blocks[block_hash(header)] = block_hash(forged)
        return forged

    def _race(self, frame: ConsensusFrame) -> Sequence[ConsensusFrame]:
        if not isinstance(frame, SignedPrepare | SignedCommit):
            return (frame,)
        said = frame.statement
        view = View(FAR_AHEAD + said.view)
        leap = ViewChange(said.epoch, said.height, view, said.signer, NOWHERE, None)
        return (frame, ProvenViewChange(leap, self._signed(leap), None))

    def _deny(self, frame: ConsensusFrame) -> Sequence[ConsensusFrame]:
        if isinstance(frame, Proposal):
            return (replace(frame, certificate=None),)
        if not isinstance(frame, ProvenViewChange):
            return (frame,)
        bare = replace(frame.statement, prepared=None)
        return (ProvenViewChange(bare, self._signed(bare), None),)


@dataclass(slots=True)
class BadAuthor:
    """A miner that spoils the turns that the lottery gives it."""

    keys: KeyPair
    chain_id: ChainId
    idleness: Idleness
    _turn: int = 0

    def send(self, transit: Transit) -> Sequence[Transit]:
        """Return what leaves instead of a message; a late body is late on the wire."""
        if transit.channel is not StreamProtocol.BODIES:
            return (transit,)
        match self.idleness:
            case Idleness.SILENT:
                return ()
            case Idleness.LATE:
                return (transit,)
            case Idleness.TWO_BODIES:
                self._turn += 1
                return (transit,) if self._turn % 2 else (self._second(transit),)
            case _:
                assert_never(self.idleness)

    def _second(self, transit: Transit) -> Transit:
        authored = decode(AuthoredBody, transit.body, bytes_max=2 * BLOCK_BYTES_MAX)
        body = replace(authored.body, time_milliseconds=authored.body.time_milliseconds + 1)
        signature = _sign_body(self.keys, self.chain_id, body)
        return replace(
            transit, body=encode(replace(authored, body=body, author_signature=signature))
        )


def _sign_body(keys: KeyPair, chain_id: ChainId, body: BlockBody) -> Signature:
    return sign(keys, BODY_DOMAIN, chain_id, encode(body))


def _forged_news(encoded: bytes) -> bytes:
    """Return a sealed block whose state is another than the one that was sealed."""
    try:
        sealed = decode(SealedBlock, encoded, bytes_max=2 * BLOCK_BYTES_MAX)
    except PeerError:
        return encoded
    header = sealed.block.header
    body = replace(header.body, state_root=NOWHERE)
    return encode(replace(sealed, block=replace(sealed.block, header=replace(header, body=body))))
