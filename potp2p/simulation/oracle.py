"""
What must never happen in a network, judged from outside.

The oracle sees bytes: what leaves a machine and what its disk keeps. It counts quorums, adds up
money and hashes states by its own few lines; of the product it uses the wire format, SHA-256 and
the check of one signature, never a line of the consensus core or of the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Final

import trio

from potp2p.foundation.errors import OperatingError, PeerError
from potp2p.foundation.limits import BLOCK_BYTES_MAX
from potp2p.foundation.types import ChainId, Digest, Height, NodeId
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.wire.blocks import (
    BODY_DOMAIN,
    RANK_NONE,
    AuthoredBody,
    Block,
    BlockBody,
    Header,
    Seal,
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
    decode_frame,
)
from potp2p.protocol.wire.schema import decode, encode
from potp2p.simulation.accounts import money_of, root_of, supply_of, voters_after
from potp2p.simulation.footprints import overgrown
from potp2p.simulation.machine import Machine
from potp2p.simulation.seals import complaint_of_seal, is_signed
from potp2p.simulation.traces import Trace
from potp2p.simulation.transits import Fate, Penalty, Transit
from potp2p.storage.ports import StoredBlock

VIOLATIONS_KEPT: Final = 20
MESSAGES_MAX: Final = 600
SPAN_SECONDS: Final = 3.0
"""Two blocks a second need a tenth of this from one node to another: more is going in circles."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What the first honest machine stored at a height."""

    block: bytes
    block_hash: Digest
    state_root: Digest
    state: Digest
    """Over all records that its disk kept."""
    machine: str


@dataclass(slots=True)
class Oracle:
    """Remembers everything that was said and stored in a run."""

    chain_id: ChainId
    seats: tuple[NodeId, ...]
    """Of the first block."""
    suspects: frozenset[str]
    """Machines that may say anything."""
    authors: frozenset[NodeId]
    """Who may be ranked."""
    bad_authors: frozenset[NodeId]
    trace: Trace
    violations: list[str] = field(default_factory=list[str])
    decided: dict[int, Decided] = field(default_factory=dict[int, Decided])
    honest: dict[NodeId, str] = field(default_factory=dict[NodeId, str])
    _votes: dict[tuple[int, int, int, int, type], bytes] = field(
        default_factory=dict[tuple[int, int, int, int, type], bytes]
    )
    """By epoch, height, view, signer and kind: what an honest seat said there."""
    _bodies: dict[tuple[NodeId, int], bytes] = field(
        default_factory=dict[tuple[NodeId, int], bytes]
    )
    _heights: dict[str, int] = field(default_factory=dict[str, int])
    """Highest block on each machine's disk."""
    _shown: dict[NodeId, int] = field(default_factory=dict[NodeId, int])
    """Highest height that each seat has spoken of: all below it must be on its disk."""
    _voters: dict[int, tuple[NodeId, ...]] = field(default_factory=dict[int, tuple[NodeId, ...]])
    """Who may vote at a height, as the state before it says."""
    _unjudged: list[tuple[str, Header, Seal]] = field(
        default_factory=list[tuple[str, Header, Seal]]
    )
    """Seals of heights whose voters nobody has named yet."""
    _penalties: int = 0
    _span: int = 0
    _sent: dict[tuple[NodeId, NodeId], int] = field(
        default_factory=dict[tuple[NodeId, NodeId], int]
    )
    """Messages of this span of time, by sender and receiver."""

    def __post_init__(self) -> None:
        self._voters[1] = self.seats

    def complain(self, violation: str) -> None:
        """Note that something happened which must not."""
        self.trace.note("violation", violation)
        if len(self.violations) < VIOLATIONS_KEPT:
            self.violations.append(violation)

    def enrol(self, machine: Machine) -> None:
        """Watch a machine from now on."""
        if machine.name not in self.suspects:
            self.honest[machine.node_id] = machine.name
        self._watch_disk(machine)

    def _watch_disk(self, machine: Machine) -> None:
        self._heights[machine.name] = 0
        machine.store.on_commit = partial(self.note_stored, machine)

    # What leaves a machine

    def note_message(self, fate: Fate, transit: Transit) -> None:
        """Look at what an honest machine says, and how often."""
        if fate is not Fate.SENT or transit.sender not in self.honest:
            return
        self._note_traffic(transit)
        if transit.channel is StreamProtocol.CONSENSUS:
            self._note_frame(transit)
        elif transit.channel is StreamProtocol.BODIES:
            authored = decode(AuthoredBody, transit.body, bytes_max=2 * BLOCK_BYTES_MAX)
            self._note_body(transit.sender, authored.body)

    def _note_traffic(self, transit: Transit) -> None:
        """An honest node asks and says what it needs to, not the same thing without end."""
        span = int(trio.current_time() / SPAN_SECONDS)
        if span != self._span:
            self._span, self._sent = span, {}
        pair = (transit.sender, transit.receiver)
        self._sent[pair] = self._sent.get(pair, 0) + 1
        if self._sent[pair] == MESSAGES_MAX:
            receiver = self.honest.get(transit.receiver, transit.receiver.hex()[:8])
            self.complain(
                f"{self.honest[transit.sender]} floods {receiver}: {MESSAGES_MAX} messages in"
                f" {SPAN_SECONDS:.0f} s, the last for {transit.channel}"
            )

    def _note_frame(self, transit: Transit) -> None:
        frame = _frame_of(transit.body)
        match frame:
            case SignedPrepare() | SignedCommit() | ProvenViewChange() | Proposal():
                signer = self._seat(frame.statement)
                if signer == transit.sender:
                    self._note_vote(signer, frame.statement, frame.signature)
            case BlockPush():
                block = decode(Block, frame.block, bytes_max=2 * BLOCK_BYTES_MAX)
                self._note_body(transit.sender, block.header.body)
            case BlockSketch():
                self._note_body(transit.sender, frame.header.body)
            case _:
                return

    def _seat(self, statement: Statement) -> NodeId | None:
        seats = self._seats_at(statement.height)
        return seats[statement.signer] if statement.signer < len(seats) else None

    def _seats_at(self, height: int) -> tuple[NodeId, ...]:
        """Return who votes at a height, or voted at the last one that is known."""
        return self._voters.get(height) or self._voters[max(self._voters)]

    def _note_vote(self, node: NodeId, statement: Statement, signature: bytes) -> None:
        said = encode(statement)
        place = (
            statement.epoch,
            statement.height,
            statement.view,
            statement.signer,
            type(statement),
        )
        before = self._votes.get(place)
        if before is None:
            self._votes[place] = said
            if not is_signed(node, signature, statement.DOMAIN, self.chain_id, said):
                self.complain(f"{self.honest[node]} sent a vote that it did not sign")
        elif before != said:
            self.complain(
                f"double vote: {self.honest[node]} signed two of {type(statement).__name__} at "
                f"height {statement.height}, view {statement.view}"
            )
        self._shown[node] = max(self._shown.get(node, 0), statement.height)

    def _note_body(self, sender: NodeId, body: BlockBody) -> None:
        if body.author != sender or body.author in self.bad_authors:
            return
        said = encode(body)
        if self._bodies.setdefault((sender, body.height), said) != said:
            self.complain(f"double body: {self.honest[sender]} signed two at {body.height}")

    # What a disk keeps

    def note_stored(self, machine: Machine, blocks: Sequence[StoredBlock]) -> None:
        """Judge blocks that have just become durable somewhere."""
        for stored in blocks:
            before = self._heights[machine.name]
            if stored.height != before + 1:
                self.complain(f"{machine.name} stored {stored.height} after {before}")
            self._heights[machine.name] = stored.height
            self.trace.note("decided", machine.name, str(stored.height), _short(stored.block))
            if machine.name not in self.suspects:
                self._judge_block(machine, stored, whole=stored is blocks[-1])

    def _judge_block(self, machine: Machine, stored: StoredBlock, *, whole: bool) -> None:
        height = stored.height
        block = decode(Block, stored.block, bytes_max=2 * BLOCK_BYTES_MAX)
        seal = decode(Seal, stored.seal, bytes_max=BLOCK_BYTES_MAX)
        known = self.decided.get(height)
        if known is not None and known.block_hash != seal.block_hash:
            self.complain(f"fork: {machine.name} and {known.machine} stored two blocks at {height}")
        state = root_of(machine.store.states) if whole else None
        root = block.header.body.state_root
        if state is not None and state != root:
            self.complain(f"{machine.name} keeps another state than the root of block {height}")
        if known is None:
            self._judge_first(machine, stored, block, seal)
        if whole and state is not None:
            self._judge_state(machine, height)
        self._unjudged.append((machine.name, block.header, seal))
        self._judge_seals()

    def _judge_seals(self) -> None:
        """Recount every seal whose voters are known by now."""
        waiting, self._unjudged = self._unjudged, []
        for name, header, seal in waiting:
            seats = self._voters.get(header.body.height)
            if seats is None:
                self._unjudged.append((name, header, seal))
                continue
            complaint = complaint_of_seal(seal, header, seats, self.chain_id)
            if complaint is not None:
                self.complain(f"seal of {header.body.height} at {name}: {complaint}")

    def _judge_first(self, machine: Machine, stored: StoredBlock, block: Block, seal: Seal) -> None:
        root = block.header.body.state_root
        self.decided[stored.height] = Decided(
            stored.block, seal.block_hash, root, root, machine.name
        )
        parent = self.decided.get(stored.height - 1)
        if parent is not None and block.header.body.previous_hash != parent.block_hash:
            self.complain(f"block {stored.height} does not follow block {stored.height - 1}")
        self._judge_author(block.header)

    def _judge_author(self, header: Header) -> None:
        """A block is signed by its author: a miner that was ranked, else the primary itself."""
        body, seats = header.body, self._voters.get(header.body.height)
        if not is_signed(
            body.author, header.author_signature, BODY_DOMAIN, self.chain_id, encode(body)
        ):
            self.complain(f"block {body.height} is not signed by its author")
        if body.rank != RANK_NONE:
            if body.author not in self.authors:
                self.complain(f"block {body.height} has a ranked author that no draw knows")
        elif seats is not None and seats[header.frame.primary : header.frame.primary + 1] != (
            body.author,
        ):
            self.complain(f"block {body.height} without rank is not by its primary")

    def _judge_state(self, machine: Machine, height: int) -> None:
        """Add up the money of a state, once for each height; note the voters that it names."""
        if height + 1 in self._voters:
            return
        self._voters[height + 1] = voters_after(machine.store.states)
        held, supply = money_of(machine.store.states), supply_of(machine.store.states)
        if held != supply:
            self.complain(f"money: {held} is held and {supply} recorded after block {height}")

    # How a machine ends and begins

    def note_boot(self, machine: Machine) -> None:
        """Compare what a machine starts from with what it showed and what its disk keeps."""
        height = machine.node.chain.head.height
        if height != self._heights[machine.name]:
            self.complain(
                f"{machine.name} starts at {height}, its disk kept {self._heights[machine.name]}"
            )
        shown = self._shown.get(machine.node_id, 0)
        if machine.name not in self.suspects and shown > height + 1:
            self.complain(f"{machine.name} voted at {shown} and starts at {height}")
        if root_of(machine.store.states) != machine.node.chain.head.state_root:
            self.complain(f"{machine.name} starts with another state than that of its head")

    def note_wipe(self, machine: Machine) -> None:
        """A new disk begins at nothing."""
        self._watch_disk(machine)

    def note_stop(self, machine: Machine, causes: Sequence[Exception]) -> None:
        """A node that stops by itself needs a disk that failed; anything else is a bug."""
        reason = machine.disk.failed_for
        for cause in causes:
            if reason is None or not isinstance(cause, OperatingError) or reason not in str(cause):
                self.complain(f"{machine.name} stopped: {type(cause).__name__}: {cause}")

    # What nodes think of each other, and how much they keep

    def note_penalties(self, penalties: Sequence[Penalty]) -> None:
        """An honest node never blames another honest one for what no honest program sends."""
        for penalty in penalties[self._penalties :]:
            judge, offender = (self.honest.get(each) for each in (penalty.judge, penalty.offender))
            if judge is None or offender is None or penalty.offender in self.bad_authors:
                continue
            self.trace.note("penalty", judge, offender, str(penalty.error))
            if penalty.is_grave:
                self.complain(f"{judge} blames honest {offender}: {penalty.error}")
        self._penalties = len(penalties)

    def note_sizes(self, machines: Sequence[Machine]) -> None:
        """No queue, table or shelf of a running node grows beyond its bound."""
        for machine in machines:
            for name, size in overgrown(machine.node):
                self.complain(f"{machine.name} keeps {size} things in {name}")


@lru_cache(maxsize=1_024)
def _frame_of(body: bytes) -> ConsensusFrame:
    """Read a frame once, however many it is sent to."""
    return decode_frame(body)


def _short(block: bytes) -> str:
    try:
        body = decode(Block, block, bytes_max=2 * BLOCK_BYTES_MAX).header.body
    except PeerError:
        return "unreadable"
    return f"rank {body.rank} state {body.state_root.hex()[:12]} at {Height(body.height)}"
