"""
The rules of a block: the parent's frame first, then a new cycle or epoch, transactions, duties.

`Ledger` executes on an overlay over the last decided state; nothing is written until the caller
stores an outcome. The same code puts a block together and checks one, so that an author cannot
believe in a state that validators do not reproduce.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import BLOCK_TRANSACTIONS_MAX
from potp2p.foundation.types import (
    Amount,
    ChainId,
    Cycle,
    Digest,
    Epoch,
    Height,
    NodeId,
    Rank,
    ValidatorIndex,
)
from potp2p.protocol.crypto.beacon import NO_REVEAL, KnownReveals
from potp2p.protocol.crypto.hashing import sha256, tagged_hash
from potp2p.protocol.incentives.fees import next_base_fee
from potp2p.protocol.incentives.rewards import author_tips, block_subsidy
from potp2p.protocol.incentives.weights import total_weight, weights_root
from potp2p.protocol.ledger.audit_phases import advance_audits
from potp2p.protocol.ledger.audits import draw_audits
from potp2p.protocol.ledger.batch import BLOCK_LIMITS, Batch, Limits, Verified
from potp2p.protocol.ledger.booking import book_weights
from potp2p.protocol.ledger.conservation import verify_conserved
from potp2p.protocol.ledger.context import BlockContext
from potp2p.protocol.ledger.epochs import (
    apply_frame,
    primaries,
    ranking,
    switch,
    verify_frame,
    weights_of,
)
from potp2p.protocol.ledger.heights import last_of
from potp2p.protocol.ledger.miners import forget_absent
from potp2p.protocol.ledger.money import burn, credit, issue, pay_due, payout_of
from potp2p.protocol.ledger.node_cache import NodeCache
from potp2p.protocol.ledger.receipts import SettledRound
from potp2p.protocol.ledger.records import CycleWeights, TaskStatus
from potp2p.protocol.ledger.rounds import advance_rounds
from potp2p.protocol.ledger.seats import next_validators, validators_hash
from potp2p.protocol.ledger.settlement import is_settled, settle_round
from potp2p.protocol.ledger.state import Overlay, RecordCache, State, StateReader
from potp2p.protocol.ledger.tasks import decide_package
from potp2p.protocol.ledger.transition import apply, decode_transaction
from potp2p.protocol.ledger.tree import NodeReader, updating
from potp2p.protocol.wire.blocks import RANK_NONE, Frame, Header
from potp2p.protocol.wire.certificates import CERTIFICATE_DOMAIN, Certificate
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import encode

SLICE_TRANSACTIONS: Final = 64
"""Two to three milliseconds of work, between which others get their turn."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a block does to the state; the caller stores it or forgets it."""

    state_root: Digest
    state_writes: Mapping[bytes, bytes | None]
    node_writes: Mapping[bytes, bytes | None]
    settled: tuple[SettledRound, ...]
    included: tuple[bytes, ...]
    refused: tuple[tuple[bytes, PeerError], ...]
    left_out: tuple[bytes, ...] = ()
    """Of what the caller called due: not in the block, though it has room and would still apply."""
    records: Mapping[bytes, object] = field(default_factory=dict[bytes, object])
    """The decoded form of the state's writes."""


Slices: TypeAlias = Generator[None, None, Outcome]
"""
A block's execution, cut where others may have their turn.

It is one function of the state under the last decided block: whoever lets others work in between
drops it when that block is no longer the last.
"""


@dataclass(frozen=True, slots=True)
class Prospects:
    """What is settled about the next height before anyone proposes it."""

    height: Height
    epoch: Epoch
    cycle: Cycle
    beacon: Digest
    """beacon(height - 1)."""
    nodes: tuple[NodeId, ...]
    """Validators in seat order."""
    anchors: tuple[Digest, ...]
    """Their beacon anchors; NO_DIGEST where none is registered."""
    primaries: tuple[ValidatorIndex, ...]
    ranking: tuple[NodeId, ...]
    weights: CycleWeights
    """Frozen weights of the cycle, which the ranking was drawn from."""
    certificate: Certificate
    certificate_hash: Digest
    closes_epoch: bool
    """The height is the last of its epoch: its header announces the seats of the next one."""
    next_validators: tuple[NodeId, ...]
    """Who will seal height + 1."""
    next_validators_hash: Digest


@dataclass(slots=True)
class Ledger:
    """Executes blocks over the last decided state, which its readers show."""

    genesis: Genesis
    reader: StateReader
    nodes: NodeReader
    state_root: Digest
    """Root of the state that the readers show; whoever stores an outcome sets it."""
    limits: Limits = BLOCK_LIMITS
    chain_id: ChainId = field(init=False)
    _cache: RecordCache = field(init=False)
    _tree: NodeCache = field(init=False)
    _reveals: KnownReveals = field(default_factory=KnownReveals)
    _first_supply: int = field(init=False)

    def __post_init__(self) -> None:
        self.chain_id = ChainId(sha256(encode(self.genesis)))
        self._cache = RecordCache(self.reader, self.state_root)
        self._tree = NodeCache(self.nodes, self.state_root)
        self._first_supply = sum(each.balance + each.bond for each in self.genesis.accounts)

    def state(self) -> State:
        """Return the state after the last decided block, to read."""
        self._cache.turn(self.state_root)
        return State(Overlay(self._cache))

    def advance(self, outcome: Outcome) -> None:
        """Go on from an outcome that was just stored, and remember what it wrote."""
        self.state_root = outcome.state_root
        self._cache.advance(outcome.state_root, outcome.state_writes, outcome.records)
        self._tree.advance(outcome.state_root, outcome.node_writes)

    def prospects(self, parent: Header | None) -> Prospects:
        """Run the parent's frame on a scratch overlay and say what it makes of the next height."""
        state = self.state()
        height = self._open(state, parent)
        chain = state.chain()
        frozen = state.frozen_weights(chain.cycle)
        weights = weights_of(frozen)
        following = next_validators(chain)
        certificate = Certificate(
            chain_id=self.chain_id,
            cycle=chain.cycle,
            height=height,
            ranking=ranking(state, height),
            weights_root=weights_root(weights),
            total_weight=total_weight(weights),
            beacon=chain.beacon,
        )
        return Prospects(
            height=height,
            epoch=chain.epoch,
            cycle=chain.cycle,
            beacon=chain.beacon,
            nodes=tuple(seat.node for seat in chain.seats),
            anchors=tuple(seat.anchor for seat in chain.seats),
            primaries=primaries(chain, height),
            ranking=certificate.ranking,
            weights=frozen,
            certificate=certificate,
            certificate_hash=tagged_hash(CERTIFICATE_DOMAIN, encode(certificate)),
            closes_epoch=height == last_of(chain.epoch, self.genesis.consensus),
            next_validators=following,
            next_validators_hash=validators_hash(following),
        )

    def verify_frame(self, frame: Frame, parent: Header | None) -> None:
        """Raise PeerError unless the frame's reveal is its primary's at this height."""
        state = self.state()
        height = self._open(state, parent)
        verify_frame(state, frame, height, self.genesis.consensus, self._reveals)

    def assemble(  # noqa: PLR0913  # who writes which block out of what
        self,
        parent: Header | None,
        height: Height,
        author: NodeId,
        rank: Rank,
        candidates: Sequence[bytes],
        verified: Verified,
        transactions_max: int = BLOCK_TRANSACTIONS_MAX,
    ) -> Outcome:
        """Put a block together: take what applies, in order, up to the limits."""
        return whole(
            self.assembling(parent, height, author, rank, candidates, verified, transactions_max)
        )

    def assembling(  # noqa: PLR0913
        self,
        parent: Header | None,
        height: Height,
        author: NodeId,
        rank: Rank,
        candidates: Sequence[bytes],
        verified: Verified,
        transactions_max: int = BLOCK_TRANSACTIONS_MAX,
        due: Sequence[bytes] = (),
    ) -> Slices:
        """Put a block together in slices."""
        return self._run(
            parent,
            height,
            author,
            rank,
            candidates,
            verified,
            strict=False,
            due=due,
            transactions_max=transactions_max,
        )

    def execute(  # noqa: PLR0913
        self,
        parent: Header | None,
        height: Height,
        author: NodeId,
        rank: Rank,
        transactions: Sequence[bytes],
        verified: Verified,
        due: Sequence[bytes] = (),
    ) -> Outcome:
        """Check a block: raise PeerError if any of its transactions does not apply."""
        return whole(self.executing(parent, height, author, rank, transactions, verified, due))

    def executing(  # noqa: PLR0913
        self,
        parent: Header | None,
        height: Height,
        author: NodeId,
        rank: Rank,
        transactions: Sequence[bytes],
        verified: Verified,
        due: Sequence[bytes] = (),
    ) -> Slices:
        """Check a block in slices."""
        return self._run(parent, height, author, rank, transactions, verified, strict=True, due=due)

    def trials(
        self, parent: Header | None, statements: Sequence[bytes]
    ) -> tuple[PeerError | None, ...]:
        """Return why each statement, for itself, does not apply above a block; None: it does."""
        state = self.state()
        revealer = None if parent is None else state.chain().seats[parent.frame.primary].node
        height = self._open(state, parent)
        author = state.chain().seats[0].node
        context = BlockContext(self.chain_id, self.genesis, height, author, RANK_NONE, revealer)
        return tuple(_trial(state, context, encoded) for encoded in statements)

    def _open(self, state: State, parent: Header | None) -> Height:
        """Do what comes before a block's transactions; returns its height."""
        height = Height(1)
        if parent is not None:
            apply_frame(state, parent)
            height = Height(parent.body.height + 1)
        switch(state, height, self.genesis)
        return height

    def _run(  # noqa: PLR0913
        self,
        parent: Header | None,
        height: Height,
        author: NodeId,
        rank: Rank,
        candidates: Sequence[bytes],
        verified: Verified,
        *,
        strict: bool,
        due: Sequence[bytes],
        transactions_max: int = BLOCK_TRANSACTIONS_MAX,
    ) -> Slices:
        state = self.state()
        seats = state.chain().seats
        if self._open(state, parent) != height:
            raise PeerError(RejectionReason.BAD_BLOCK, f"height {height} does not follow")
        revealer = None
        if parent is not None and parent.frame.reveal != NO_REVEAL:
            revealer = seats[parent.frame.primary].node
        context = BlockContext(self.chain_id, self.genesis, height, author, rank, revealer)
        batch = Batch(state, context, verified, transactions_max, self.limits)
        for place, encoded in enumerate(candidates):
            if place % SLICE_TRANSACTIONS == SLICE_TRANSACTIONS - 1:
                yield
            if strict:
                batch.take(encoded)
            else:
                batch.offer(encoded)
        left_out = batch.left_out(due)
        _pay_author(state, context, batch.tips)
        _burn_base_fees(state, context, batch)
        settled = _do_duties(state, context)
        verify_conserved(state.overlay, self._first_supply)
        writes = state.overlay.encoded_writes()
        yield
        self._tree.turn(self.state_root)
        root, node_writes = yield from updating(self._tree, self.state_root, writes)
        return Outcome(
            state_root=root,
            state_writes=writes,
            node_writes=node_writes,
            settled=settled,
            included=tuple(batch.included),
            refused=tuple(batch.refused),
            left_out=left_out,
            records=state.overlay.records(),
        )


def _trial(state: State, context: BlockContext, encoded: bytes) -> PeerError | None:
    try:
        apply(state.child(), decode_transaction(encoded), context)
    except PeerError as error:
        return error
    return None


def whole(slices: Slices) -> Outcome:
    """Do all of it at once."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return outcome_of(end)


def outcome_of(end: StopIteration) -> Outcome:
    """Return what the last slice came to."""
    outcome: object = end.value
    assert isinstance(outcome, Outcome)
    return outcome


def _pay_author(state: State, context: BlockContext, tips: int) -> None:
    """Pay subsidy and half of the tips to a ranked author; the rest waits for the frame."""
    half = author_tips(tips, ranked=context.rank != RANK_NONE)
    if context.rank != RANK_NONE:
        payout = payout_of(state, context.author)
        chain = state.chain()
        issue(
            state,
            payout,
            block_subsidy(chain.burned_by_cycle, context.genesis.consensus, context.genesis.money),
        )
        credit(state, payout, half)
    chain = state.chain()
    state.put_chain(replace(chain, pending_tips=Amount(tips - half)))


def _burn_base_fees(state: State, context: BlockContext, batch: Batch) -> None:
    """Burn what the transactions had to burn, and set the price of the next block's bytes."""
    burn(state, batch.burned, by_task=False)
    chain, floor = state.chain(), context.genesis.money.base_fee_floor
    following = next_base_fee(chain.base_fee, batch.fullness, floor)
    state.put_chain(replace(chain, base_fee=following))


def _do_duties(state: State, context: BlockContext) -> tuple[SettledRound, ...]:
    """Move every task, round and audit on as far as this block lets them; then unbondings."""
    settled: list[SettledRound] = []
    for task_id in state.chain().tasks:
        if state.task(task_id).status is TaskStatus.ATTESTING:
            decide_package(state, context, task_id)
    chain = state.chain()
    for task_id in (*chain.tasks, *chain.unsettled):
        for round_ in state.task(task_id).open_rounds:
            draw_audits(state, context, task_id, round_)
            advance_audits(state, context, task_id, round_)
            book_weights(state, context, task_id, round_)
            if is_settled(state.round(task_id, round_), context.height):
                settled.append(settle_round(state, context, task_id, round_))
    for task_id in state.chain().tasks:
        if state.task(task_id).status is TaskStatus.RUNNING:
            advance_rounds(state, context, task_id)
    forget_absent(state, context)
    pay_due(state, context.height)
    return tuple(settled)
