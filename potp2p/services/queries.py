"""Read-only answers for peers and clients: the genesis document and state records with proofs."""

from dataclasses import dataclass

import trio

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import NodeId
from potp2p.network.ports import StreamProtocol, Streams
from potp2p.protocol.ledger.tree import prove
from potp2p.protocol.wire.exchange import QueryReply, QueryRequest
from potp2p.protocol.wire.schema import decode, encode
from potp2p.services.chain import ChainService
from potp2p.storage.ports import ChainStore


@dataclass(slots=True)
class QueryService:
    """Owns nothing: every answer is read from the store and the head."""

    genesis: bytes
    chain: ChainService
    store: ChainStore
    streams: Streams

    def __post_init__(self) -> None:
        self.streams.serve(StreamProtocol.GENESIS, self.answer_genesis)
        self.streams.serve(StreamProtocol.QUERY, self.answer_query)

    async def answer_genesis(self, _peer: NodeId, _body: bytes) -> bytes:
        """Serve the genesis document: a newcomer knows only an address."""
        await trio.lowlevel.checkpoint()
        return self.genesis

    async def answer_query(self, _peer: NodeId, body: bytes) -> bytes:
        """Serve one record of the state after the head, with its proof under the sealed header."""
        key = decode(QueryRequest, body).key
        await trio.lowlevel.checkpoint()
        head = self.chain.head
        if head.header is None or head.seal is None:
            raise PeerError(RejectionReason.TOO_EARLY, "no block is decided yet")
        proof = prove(self.store, head.state_root, key)
        return encode(QueryReply(head.header, head.seal, self.store.get_state(key), encode(proof)))
