"""Read-only answers for peers and clients: the genesis document and state records with proofs."""

from dataclasses import dataclass, field

import trio

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import Epoch, NodeId
from potp2p.network.ports import StreamProtocol, Streams
from potp2p.protocol.incentives.lottery import prove_ranking
from potp2p.protocol.ledger.epochs import weights_of
from potp2p.protocol.ledger.heights import last_of
from potp2p.protocol.ledger.records import CycleWeights
from potp2p.protocol.wire.blocks import Block, Seal
from potp2p.protocol.wire.certificates import (
    Certificate,
    CertificateFile,
    CertificateRequest,
    EpochLink,
    EpochsReply,
    EpochsRequest,
    ValidatorSet,
)
from potp2p.protocol.wire.exchange import QueryRequest
from potp2p.protocol.wire.schema import decode, encode
from potp2p.services.chain import (
    ChainService,
    certificate_name,
    validators_name,
    weights_name,
)
from potp2p.services.proofs import proved_record
from potp2p.services.receipts import ReceiptDesk
from potp2p.storage.ports import ChainStore


@dataclass(slots=True)
class QueryService:
    """Owns nothing: every answer is read from the store and the head."""

    genesis: bytes
    chain: ChainService
    store: ChainStore
    streams: Streams
    receipts: ReceiptDesk = field(init=False)

    def __post_init__(self) -> None:
        self.streams.serve(StreamProtocol.GENESIS, self.answer_genesis)
        self.streams.serve(StreamProtocol.QUERY, self.answer_query)
        self.streams.serve(StreamProtocol.CERTIFICATES, self.answer_certificate)
        self.streams.serve(StreamProtocol.EPOCHS, self.answer_epochs)
        self.receipts = ReceiptDesk(self.chain, self.store)
        self.streams.serve(StreamProtocol.RECEIPTS, self.receipts.answer)

    async def answer_genesis(self, _peer: NodeId, _body: bytes) -> bytes:
        """Serve the genesis document: a newcomer knows only an address."""
        await trio.lowlevel.checkpoint()
        return self.genesis

    async def answer_epochs(self, _peer: NodeId, body: bytes) -> bytes:
        """Serve the ends of epochs in a row, as far as the chain and what is kept of it go."""
        request = decode(EpochsRequest, body)
        consensus = self.chain.ledger.genesis.consensus
        links: list[EpochLink] = []
        for number in range(request.first, request.first + request.count):
            await trio.lowlevel.checkpoint()
            end = last_of(Epoch(number), consensus)
            if end > self.chain.head.height:
                break
            stored = self.store.block(end)
            seats = self.store.get_metadata(validators_name(Epoch(number + 1)))
            if stored is None or seats is None:
                break
            header, seal = decode(Block, stored[0]).header, decode(Seal, stored[1])
            links.append(EpochLink(header, seal, decode(ValidatorSet, seats)))
        return encode(EpochsReply(tuple(links)))

    async def answer_certificate(self, _peer: NodeId, body: bytes) -> bytes:
        """Serve the certificate of a height with header, seal and the proofs of its draws."""
        height = decode(CertificateRequest, body).height
        await trio.lowlevel.checkpoint()
        first = self.store.first_block()
        if height < first:
            raise PeerError(
                RejectionReason.NOT_FOUND,
                f"blocks below {first} are not kept here: this node began with a snapshot",
            )
        stored = self.store.block(height)
        kept = self.store.get_metadata(certificate_name(height))
        if stored is None or kept is None:
            raise PeerError(RejectionReason.NOT_FOUND, f"no certificate of height {height}")
        certificate = decode(Certificate, kept)
        weights = self.store.get_metadata(weights_name(certificate.weights_root))
        assert weights is not None, "stored with the first certificate that names them"
        return encode(
            CertificateFile(
                certificate,
                decode(Block, stored[0]).header,
                decode(Seal, stored[1]),
                prove_ranking(certificate, weights_of(decode(CycleWeights, weights))),
                (),
            )
        )

    async def answer_query(self, _peer: NodeId, body: bytes) -> bytes:
        """Serve one record of the state after the head, with its proof under the sealed header."""
        key = decode(QueryRequest, body).key
        await trio.lowlevel.checkpoint()
        record = proved_record(self.chain, self.store, key)
        # Nothing is sealed yet, which is no fault of the asker: an empty answer, not a refusal.
        return b"" if record is None else encode(record)
