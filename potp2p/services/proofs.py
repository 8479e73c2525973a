"""State records with what proves them to somebody who holds no state."""

from potp2p.protocol.ledger.tree import prove
from potp2p.protocol.wire.exchange import QueryReply
from potp2p.protocol.wire.schema import encode
from potp2p.services.chain import ChainService
from potp2p.storage.ports import ChainStore


def proved_record(chain: ChainService, store: ChainStore, key: bytes) -> QueryReply | None:
    """Return one record of the state after the head; None before the first sealed header."""
    head = chain.head
    if head.header is None or head.seal is None:
        return None
    proof = prove(store, head.state_root, key)
    return QueryReply(head.header, head.seal, store.get_state(key), encode(proof))
