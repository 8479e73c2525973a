"""
Sealed blocks executed one on top of another in memory, and stored in one synced transaction.

A seal stands for what its quorum checked: signatures, author, frame. It never stands for the state
root: every transaction is executed here and the root compared, so a batch ends in a state that
this node has computed itself. Nothing of a batch is visible before all of it is durable.
"""

from dataclasses import dataclass, field

import trio

from potp2p.foundation.errors import OperatingError, PeerError, RejectionReason
from potp2p.foundation.limits import BATCH_BLOCKS_MAX, BATCH_BYTES_MAX
from potp2p.foundation.types import NodeId
from potp2p.protocol.ledger.block import Ledger, Outcome, Prospects, Slices, outcome_of
from potp2p.protocol.ledger.receipts import receipts_in
from potp2p.protocol.ledger.transition import statement_id
from potp2p.protocol.ledger.validity import verify_seal
from potp2p.protocol.wire.schema import encode
from potp2p.services.chain import ChainService, Head, kept_for_certificates, kept_for_receipts
from potp2p.services.sealed import SealedArrival
from potp2p.storage.ports import ChainStore, StoredBlock


@dataclass(slots=True)
class StagedState:
    """State records and tree nodes of blocks that are executed but not stored."""

    store: ChainStore
    states: dict[bytes, bytes | None] = field(default_factory=dict[bytes, bytes | None])
    nodes: dict[bytes, bytes | None] = field(default_factory=dict[bytes, bytes | None])

    def get_state(self, key: bytes) -> bytes | None:
        """Return a record after the last executed block."""
        return self.states[key] if key in self.states else self.store.get_state(key)

    def get_node(self, path: bytes) -> bytes | None:
        """Return a tree node after the last executed block."""
        return self.nodes[path] if path in self.nodes else self.store.get_node(path)


@dataclass(slots=True)
class BlockBatch:
    """Blocks that follow the chain's head, one batch after the other while nobody else stores."""

    chain: ChainService
    head: Head = field(init=False)
    """The last executed block, not stored yet."""
    prospects: Prospects = field(init=False)
    _ledger: Ledger = field(init=False)
    _staged: StagedState = field(init=False)
    _validators: tuple[NodeId, ...] = field(init=False)
    _blocks: list[StoredBlock] = field(default_factory=list[StoredBlock])
    _transactions: list[bytes] = field(default_factory=list[bytes])
    _metadata: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    _bytes: int = 0

    def __post_init__(self) -> None:
        self._staged = StagedState(self.chain.store)
        root = self.chain.head.state_root
        self._ledger = Ledger(self.chain.ledger.genesis, self._staged, self._staged, root)
        self.head, self.prospects = self.chain.head, self.chain.prospects
        self._validators = self.chain.head_validators

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def is_current(self) -> bool:
        """Tell whether it still follows what is stored."""
        return bool(self._blocks) or self.head is self.chain.head

    @property
    def is_full(self) -> bool:
        """Tell whether it is time to store: what one crash may cost again has a bound."""
        return len(self._blocks) >= BATCH_BLOCKS_MAX or self._bytes >= BATCH_BYTES_MAX

    async def extend(self, arrival: SealedArrival) -> None:
        """
        Check the seal of the next block, execute it, and hold it ready.

        PeerError where the seal is not a quorum's: its bearer's fault. What a quorum sealed and
        does not fit our history is ours, or the network's end: OperatingError.
        """
        header, seal = arrival.block.header, arrival.seal
        if arrival.height != self.head.height + 1:
            raise PeerError(RejectionReason.TOO_EARLY, f"sealed block {arrival.height}")
        if seal.epoch != self.prospects.epoch:
            raise PeerError(RejectionReason.BAD_JUSTIFICATION, "seal of another epoch")
        verify_seal(seal, self.prospects.nodes, self.chain.chain_id)
        if arrival.parent != self.head.hash:
            raise OperatingError(f"sealed block {arrival.height} follows another history than ours")
        self.chain.require_trusted(arrival.height, seal.block_hash)
        outcome = await self._execute(arrival)
        kept = kept_for_certificates(self.chain.store, self.prospects)
        kept |= kept_for_receipts(outcome.settled)
        self._hold(arrival, outcome, kept)
        self._validators = self.prospects.nodes
        self.head = Head(arrival.height, seal.block_hash, header, seal, outcome.state_root)
        self.prospects = self._ledger.prospects(header)

    async def store(self) -> None:
        """Make all that is held durable in one transaction, then let the node see it."""
        if not self._blocks:
            return
        await self.chain.store.commit_many(
            self._blocks,
            state_root=self.head.state_root,
            state_writes=self._staged.states,
            node_writes=self._staged.nodes,
            metadata=self._metadata,
        )
        self.chain.advance(self.head, self._validators, self._transactions)
        self._staged.states, self._staged.nodes = {}, {}
        self._blocks, self._transactions, self._metadata, self._bytes = [], [], {}, 0

    async def _execute(self, arrival: SealedArrival) -> Outcome:
        """Execute in slices: a large block must not hold up everybody else."""
        body = arrival.block.header.body
        slices = self._ledger.executing(
            self.head.header,
            body.height,
            body.author,
            body.rank,
            arrival.block.transactions,
            _is_sealed,
        )
        try:
            outcome = await self._in_turns(slices)
        except PeerError as error:
            raise OperatingError(f"sealed block {body.height} fails here: {error}") from error
        if outcome.state_root != body.state_root:
            raise OperatingError(f"sealed block {body.height}: its state root is not reproduced")
        return outcome

    async def _in_turns(self, slices: Slices) -> Outcome:
        while True:
            try:
                next(slices)
            except StopIteration as end:
                return outcome_of(end)
            await trio.lowlevel.checkpoint()

    def _hold(self, arrival: SealedArrival, outcome: Outcome, kept: dict[bytes, bytes]) -> None:
        self._staged.states.update(outcome.state_writes)
        self._staged.nodes.update(outcome.node_writes)
        self._ledger.advance(outcome)
        transactions = arrival.block.transactions
        self._blocks.append(
            StoredBlock(
                arrival.height,
                arrival.block_bytes,
                arrival.seal_bytes,
                tuple(encode(receipt) for receipt in receipts_in(outcome.settled)),
                tuple(statement_id(each) for each in transactions),
            )
        )
        self._transactions += transactions
        self._metadata |= kept
        self._bytes += arrival.size


def _is_sealed(_transaction: bytes) -> bool:
    """A quorum checked this signature before it sealed the block."""
    return True
