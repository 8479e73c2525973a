"""
The chain of this node: its head, the check of blocks that follow, and their durable end.

One owner for validators, miners and observers alike: a validator checks proposals and stores what
its replica decided, the others check and store what arrives sealed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from potp2p.foundation.errors import OperatingError, PeerError, RejectionReason
from potp2p.foundation.limits import LINGERING_MAX
from potp2p.foundation.types import (
    GENESIS_HEIGHT,
    ChainId,
    Digest,
    Epoch,
    Height,
    NodeId,
    Round,
    TaskId,
    TrustedCheckpoint,
)
from potp2p.protocol.ledger.block import Ledger, Outcome, Prospects, Slices, outcome_of
from potp2p.protocol.ledger.receipts import SettledRound, receipts_in
from potp2p.protocol.ledger.state import State
from potp2p.protocol.ledger.transition import statement_id
from potp2p.protocol.ledger.validity import (
    block_hash,
    body_of,
    verify_body,
    verify_frame_author,
    verify_seal,
)
from potp2p.protocol.wire.blocks import Block, BlockBody, Header, Seal
from potp2p.protocol.wire.certificates import ValidatorSet
from potp2p.protocol.wire.exchange import SealedBlock
from potp2p.protocol.wire.fields import CountField, DigestField, HeightField
from potp2p.protocol.wire.schema import decode, encode
from potp2p.services.heights import HeightBell
from potp2p.services.mempool import Mempool
from potp2p.services.overdue import Overdue
from potp2p.services.sealed import verify_parts
from potp2p.storage.ports import ChainStore

CHECKED_KEPT = 8
"""Outcomes of proposals kept at one height: re-proposals execute once."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last decided block, as the next one refers to it."""

    height: Height
    hash: Digest
    header: Header | None
    """None before the first block."""
    seal: Seal | None
    state_root: Digest


@dataclass(slots=True)
class ChainService:
    """Owner of the head; every other service reads frozen values from it."""

    chain_id: ChainId
    ledger: Ledger
    store: ChainStore
    bell: HeightBell
    mempool: Mempool
    head: Head
    checkpoint: TrustedCheckpoint | None = None
    """What the operator vouches for: no other block of that height becomes ours."""
    is_behind: bool = False
    """Set while catch-up stores what others decided long ago: news cannot be judged meanwhile."""
    overdue: Overdue = field(init=False)
    """What blocks leave out though it is valid."""
    prospects: Prospects = field(init=False)
    head_validators: tuple[NodeId, ...] = field(init=False)
    """The seats that sealed the head: those of its own epoch."""
    _outcomes: dict[Digest, Outcome] = field(default_factory=dict[Digest, Outcome])
    _built: tuple[BlockBody, Outcome] | None = None

    def __post_init__(self) -> None:
        stored = None if self.checkpoint is None else self.store.block(self.checkpoint.height)
        if stored is not None:
            seal = decode(Seal, stored[1])
            self.require_trusted(seal.height, seal.block_hash)
        blocks = self.ledger.genesis.consensus.forced_inclusion_blocks
        self.overdue = Overdue(blocks, trio.current_time)
        self.prospects = self.ledger.prospects(self.head.header)
        # The prospects are of the next height, which may open an epoch with other seats.
        self.head_validators = tuple(seat.node for seat in self.state().chain().seats)

    def state(self) -> State:
        """Return the state after the head, to read."""
        return self.ledger.state()

    async def verify(self, block: Block) -> Outcome:
        """
        Check everything about a block that follows the head and execute it on an overlay.

        Others have their turns meanwhile; TOO_LATE when one of them has moved the head.
        """
        identifier = block_hash(block.header)
        if identifier in self._outcomes:
            return self._outcomes[identifier]
        verify_body(
            body_of(block),
            prospects=self.prospects,
            parent_hash=self.head.hash,
            parent_validators=self.head_validators,
            chain_id=self.chain_id,
        )
        verify_frame_author(block, self.prospects)
        self.ledger.verify_frame(block.header.frame, self.head.header)
        outcome = self._built_here(block) or await self.in_turns(
            self.ledger.executing(
                self.head.header,
                block.header.body.height,
                block.header.body.author,
                block.header.body.rank,
                block.transactions,
                self.mempool.is_verified,
                self.overdue.due,
            )
        )
        if outcome.state_root != block.header.body.state_root:
            raise PeerError(RejectionReason.BAD_BLOCK, "state root is not reproduced")
        if len(self._outcomes) >= CHECKED_KEPT:
            self._outcomes.pop(next(iter(self._outcomes)))
        self._outcomes[identifier] = outcome
        return outcome

    async def in_turns(self, slices: Slices) -> Outcome:
        """Execute in slices with a checkpoint between them, for as long as the head stays."""
        head = self.head
        while self.head is head:
            try:
                next(slices)
            except StopIteration as end:
                return outcome_of(end)
            await trio.lowlevel.checkpoint()
        raise PeerError(RejectionReason.TOO_LATE, f"height {head.height + 1} is decided")

    def note_built(self, body: BlockBody, outcome: Outcome) -> None:
        """Remember what an own body does, which was executed when it was put together."""
        self._built = (body, outcome)

    def _built_here(self, block: Block) -> Outcome | None:
        """
        Return the outcome of this very body on this head, if this node has put it together.

        The frame changes nothing in it: it is executed in the next block.
        """
        if self._built is None:
            return None
        body, outcome = self._built
        if body != block.header.body or outcome.included != block.transactions:
            return None
        return outcome

    def verify_sealed(self, sealed: SealedBlock) -> None:
        """
        Check the seal of a block at the height above the head, and that it covers all of it.

        What passes is what a quorum signed: if it then does not execute, the fault is ours.
        """
        header = sealed.block.header
        if header.body.height != self.head.height + 1:
            raise PeerError(RejectionReason.TOO_EARLY, f"sealed block {header.body.height}")
        verify_parts(sealed)
        verify_seal(sealed.seal, self.prospects.nodes, self.chain_id)

    async def commit(self, block: Block, seal: Seal) -> None:
        """Store a decided block, its seal and the new state in one synced transaction."""
        self.require_trusted(seal.height, seal.block_hash)
        try:
            outcome = await self.verify(block)
        except PeerError as error:
            # A quorum sealed what we cannot reproduce: going on would mean another history.
            raise OperatingError(f"decided block {seal.height} fails here: {error}") from error
        body = block.header.body
        await self.store.commit(
            height=body.height,
            block=encode(block),
            seal=encode(seal),
            state_root=outcome.state_root,
            state_writes=outcome.state_writes,
            node_writes=outcome.node_writes,
            receipts=tuple(encode(receipt) for receipt in receipts_in(outcome.settled)),
            transaction_ids=tuple(statement_id(each) for each in block.transactions),
            metadata=kept_for_certificates(self.store, self.prospects)
            | kept_for_receipts(outcome.settled),
        )
        head = Head(body.height, seal.block_hash, block.header, seal, outcome.state_root)
        self.ledger.advance(outcome)
        self.advance(head, self.prospects.nodes, block.transactions)

    def require_trusted(self, height: Height, found: Digest) -> None:
        """Raise OperatingError where a history does not contain the operator's checkpoint."""
        trusted = self.checkpoint
        if trusted is not None and height == trusted.height and found != trusted.block_hash:
            raise OperatingError(
                f"block {height} is {found.hex()[:16]}, the trusted checkpoint is "
                f"{trusted.block_hash.hex()[:16]}: this is another history, or another checkpoint"
            )

    def advance(
        self, head: Head, validators: tuple[NodeId, ...], included: Sequence[bytes]
    ) -> None:
        """Let every service see a head whose block and state are stored, sealed by these seats."""
        self.head_validators = validators
        self.head = head
        self.ledger.state_root = head.state_root
        self._outcomes.clear()
        self._built = None
        self.prospects = self.ledger.prospects(head.header)
        self.bell.ring(head.height)
        if len(self.mempool):
            self.mempool.settle(included)
        self._try_waiting()

    def _try_waiting(self) -> None:
        """Tell apart, of what the last block left out, what is valid and what will never be."""
        waiting = () if self.is_behind else self.mempool.lingering(LINGERING_MAX)
        answers = self.ledger.trials(self.head.header, waiting) if waiting else ()
        tried = tuple(zip(waiting, answers, strict=True))
        self.mempool.refuse((each, error) for each, error in tried if error is not None)
        self.overdue.turn(self.head.height, (each for each, error in tried if error is None))


def kept_for_certificates(store: ChainStore, prospects: Prospects) -> dict[bytes, bytes]:
    """Return what proofs of the next height need after the state has moved on."""
    kept: dict[bytes, bytes] = {}
    if prospects.closes_epoch:
        # The state keeps past seats for a time only, and headers no more than their hash.
        seats = ValidatorSet(prospects.next_validators)
        kept[validators_name(Epoch(prospects.epoch + 1))] = encode(seats)
    certificate = prospects.certificate
    if not certificate.ranking:
        return kept
    kept[certificate_name(prospects.height)] = encode(certificate)
    name = weights_name(certificate.weights_root)
    if store.get_metadata(name) is None:
        kept[name] = encode(prospects.weights)
    return kept


def kept_for_receipts(settled: Sequence[SettledRound]) -> dict[bytes, bytes]:
    """Return where receipts stand, and the links that lead from them to their task's root."""
    kept: dict[bytes, bytes] = {}
    first = 0
    for each in settled:
        place = SettledPlace(each.height, each.previous, first, len(each.receipts))
        first += len(each.receipts)
        kept[receipts_name(each.task, each.round)] = encode(place)
        kept[link_name(each.task, each.previous)] = each.link
    return kept


@dataclass(frozen=True, slots=True)
class SettledPlace:
    """Where the receipts of a round stand."""

    height: HeightField
    previous: DigestField
    """The task's receipts root before the round."""
    first: CountField
    """Receipts of other rounds that stand before them at this height."""
    count: CountField


def receipts_name(task: TaskId, round_: Round) -> bytes:
    """Return the name under which it is kept where a round's receipts stand."""
    return b"receipts/" + task + round_.to_bytes(4, "big")


def link_name(task: TaskId, root: Digest) -> bytes:
    """Return the name under which the link that follows a receipts root is kept."""
    return b"link/" + task + root


def certificate_name(height: Height) -> bytes:
    """Return the name under which the certificate of a height is kept."""
    return b"certificate/" + height.to_bytes(8, "big")


def validators_name(epoch: Epoch) -> bytes:
    """Return the name under which the seats of an epoch are kept."""
    return b"validators/" + epoch.to_bytes(8, "big")


def weights_name(root: Digest) -> bytes:
    """Return the name under which frozen weights are kept: their root in the certificate."""
    return b"weights/" + root


def stored_head(store: ChainStore, chain_id: ChainId) -> Head:
    """
    Read the head that survived the last stop; the store holds genesis at least.

    The first block's parent hash is the chain id.
    """
    stored = store.head()
    if stored is None:
        raise OperatingError("the chain store does not hold the genesis state")
    if stored.height == GENESIS_HEIGHT:
        return Head(GENESIS_HEIGHT, Digest(chain_id), None, None, stored.state_root)
    found = store.block(stored.height)
    if found is None:
        raise OperatingError(f"block {stored.height} is missing from the store")
    block, seal = decode(Block, found[0]), decode(Seal, found[1])
    return Head(stored.height, seal.block_hash, block.header, seal, block.header.body.state_root)
