"""One run: transactions at time 0, until the last of them is final on a quorum."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final

from potp2p.foundation.committee import quorum
from potp2p.foundation.limits import SHORT_ID_BYTES, SKETCH_BYTES_MIN
from potp2p.foundation.types import (
    Cycle,
    Digest,
    Epoch,
    Height,
    NodeId,
    Signature,
    ValidatorIndex,
    View,
)
from potp2p.protocol.consensus.effects import RequestBlock
from potp2p.protocol.wire.blocks import (
    BLOCK_VERSION,
    RANK_NONE,
    Block,
    BlockBody,
    CommitSignature,
    Frame,
    Header,
    Seal,
)
from potp2p.protocol.wire.consensus import BlockPush, ConsensusFrame
from potp2p.protocol.wire.schema import encode
from potp2p.simulation.published.costs import Costs
from potp2p.simulation.published.links import Clock, Links
from potp2p.simulation.published.mesh import make_mesh
from potp2p.simulation.published.setting import Setting
from potp2p.simulation.published.validator import (
    GENESIS_HEAD,
    Batch,
    ShortBlock,
    Validator,
    size_of,
)

SECONDS_MAX: Final = 120.0
HAPPENINGS_MAX: Final = 3_000_000
"""Ten times what the largest cell needs."""
TRANSACTION_OVERHEAD: Final = 3
"""CBOR head of a byte string of 300 bytes."""
GOSSIP_OVERHEAD: Final = 270
"""Protobuf, key, number, signature and topic of one GossipSub message."""
PUSH_OVERHEAD: Final = 60


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of the table."""

    validators: int
    transactions: int
    megabits: float


@dataclass(frozen=True, slots=True)
class Run:
    """What one seed came to."""

    seconds: float | None
    """From submission until the last transaction is final on a quorum; None: not in time."""
    heights: int
    views: int
    """Highest view of any height, counted from 0."""
    busiest_seconds: float
    """Processor time of the busiest node."""
    sent_bytes: int
    """Of the node that sent most."""


class Network:
    """Everything that validators share: clock, links, mesh, and what may be known of the end."""

    def __init__(self, cell: Cell, setting: Setting, costs: Costs, seed: int) -> None:
        random = Random(f"potp2p/published/{seed}/{cell}")
        self.cell, self.setting, self.costs = cell, setting, costs
        self.size = cell.validators
        self.quorum = quorum(self.size)
        self.clock = Clock()
        self.links = Links(
            self.clock, self.size, cell.megabits, random, shared=setting.shared_links
        )
        self.mesh = make_mesh(self.size, setting.mesh_degree or self.size - 1, random)
        self.validators = [Validator(self, seat) for seat in range(self.size)]
        self._all = (1 << cell.transactions) - 1
        self._batches = 0
        self._done = 0
        self._shares = [0] * self.size
        for number in range(cell.transactions):
            self._shares[random.randrange(self.size)] |= 1 << number

    def run(self) -> Run:
        """Submit everything, start every replica, and wait for the end."""
        for validator, share in zip(self.validators, self._shares, strict=True):
            if share:
                validator.submit(share)
            validator.begin(1, GENESIS_HEAD, None)
        self.clock.run(lambda: self._done >= self.quorum, SECONDS_MAX, HAPPENINGS_MAX)
        return Run(
            seconds=self.clock.now if self._done >= self.quorum else None,
            heights=max(each.height for each in self.validators),
            views=max(each.view_highest for each in self.validators),
            busiest_seconds=max(each.busy_seconds for each in self.validators),
            sent_bytes=max(port.sent_bytes for port in self.links.ports),
        )

    def note_decided(self, validator: Validator, block: ShortBlock) -> None:
        """Count who has everything."""
        if block.transactions and validator.final == self._all:
            self._done += 1

    # What crosses the links.

    def post_all(self, sender: Validator, frame: ConsensusFrame) -> None:
        """Send a frame to every other validator."""
        size = size_of(frame)
        for other in self.validators:
            if other is not sender:
                self._send(
                    sender,
                    other,
                    size,
                    lambda other=other: other.take(sender.seat, frame),  # type: ignore[misc]
                )

    def post(self, sender: Validator, to: int, frame: ConsensusFrame) -> None:
        """Send a frame to one validator."""
        other = self.validators[to]
        self._send(sender, other, size_of(frame), lambda: other.take(sender.seat, frame))

    def push_all(self, sender: Validator, block: ShortBlock) -> None:
        """Send a block to every other validator."""
        for other in self.validators:
            if other is not sender:
                self.push(sender, other.seat, block)

    def push(self, sender: Validator, to: int, block: ShortBlock) -> None:
        """Send a block to one validator."""
        other = self.validators[to]
        frame = BlockPush(Height(block.height), b"")
        self._send(
            sender,
            other,
            PUSH_OVERHEAD + block.size,
            lambda: other.take(sender.seat, frame, block),
        )

    def ask_missing(
        self,
        sender: Validator,
        source: int,
        size: int,
        missing: int,
        brought: Callable[[], None],
    ) -> None:
        """Ask who sent a block for transactions by their place in it; `brought` gets them."""
        other = self.validators[source]
        each = self.setting.transaction_bytes + TRANSACTION_OVERHEAD
        reply = PUSH_OVERHEAD + each * missing.bit_count()
        self._send(
            sender,
            other,
            size,
            lambda: other.work(
                self.costs.receive, lambda: self._send(other, sender, reply, brought)
            ),
        )

    def gossip(self, sender: Validator, to: int, batch: Batch) -> None:
        """Send a gossip message over one link of the mesh."""
        other = self.validators[to]
        self._send(sender, other, batch.size, lambda: other.hear(sender.seat, batch))

    def _send(
        self, sender: Validator, other: Validator, size: int, arrived: Callable[[], None]
    ) -> None:
        if not self.costs.send:
            self.links.send(sender.seat, other.seat, size, arrived)
            return
        sender.work(
            self.costs.send, lambda: self.links.send(sender.seat, other.seat, size, arrived)
        )

    def batches(self, origin: int, waiting: int) -> Iterator[Batch]:
        """Cut what waits into gossip messages of legal size."""
        each = self.setting.transaction_bytes + TRANSACTION_OVERHEAD
        most = self.setting.gossip_bytes_max // each
        while waiting:
            part = lowest_bits(waiting, most)
            waiting ^= part
            self._batches += 1
            size = GOSSIP_OVERHEAD + each * part.bit_count()
            yield Batch(self._batches, origin, part, size)

    def build(self, validator: Validator, request: RequestBlock) -> ShortBlock:
        """Put a block together out of what its primary holds."""
        waiting = validator.held & ~validator.final
        chosen = lowest_bits(waiting, self.setting.block_transactions)
        count = chosen.bit_count()
        fixed = block_bytes(self.quorum if request.height > 1 else 0)
        whole = fixed + (self.setting.transaction_bytes + TRANSACTION_OVERHEAD) * count
        is_whole = whole < SKETCH_BYTES_MIN
        return ShortBlock(
            height=request.height,
            primary=validator.seat,
            view=request.view,
            transactions=chosen,
            size=whole if is_whole else fixed + SHORT_ID_BYTES * count,
            is_whole=is_whole,
        )


def run_cell(cell: Cell, setting: Setting, costs: Costs, seed: int) -> Run:
    """Run one seed of one cell."""
    return Network(cell, setting, costs, seed).run()


def lowest_bits(number: int, count: int) -> int:
    """Return a number with only its lowest set bits, so many of them."""
    if number.bit_count() <= count:
        return number
    low, high = 0, number.bit_length()
    while low < high:
        middle = (low + high) // 2
        if (number & ((1 << middle) - 1)).bit_count() < count:
            low = middle + 1
        else:
            high = middle
    return number & ((1 << low) - 1)


@cache
def block_bytes(signers: int) -> int:
    """Return the size of a block without transactions, by encoding one with such a seal."""
    digest = Digest(bytes(32))
    height = Height(1 << 20)
    body = BlockBody(
        version=BLOCK_VERSION,
        height=height,
        previous_hash=digest,
        previous_seal_hash=digest,
        epoch=Epoch(1_000),
        cycle=Cycle(1_000),
        author=NodeId(bytes(33)),
        rank=RANK_NONE,
        transactions_root=digest,
        state_root=digest,
        next_validators_hash=digest,
        certificate_hash=digest,
        time_milliseconds=1 << 40,
    )
    signature = Signature(bytes(64))
    header = Header(body, signature, Frame(ValidatorIndex(30), View(0), digest))
    seal = Seal(
        epoch=Epoch(1_000),
        height=height,
        view=View(0),
        block_hash=digest,
        signatures=tuple(
            CommitSignature(ValidatorIndex(each), signature) for each in range(signers)
        ),
    )
    return len(encode(Block(header, seal if signers else None, ())))
