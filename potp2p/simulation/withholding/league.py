"""One chain, and a third of its primaries that decide about each turn what is best for them."""

from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from potp2p.foundation.committee import faulty_max, weak_quorum
from potp2p.foundation.types import Amount, Digest, Epoch, Height, ValidatorIndex, View
from potp2p.protocol.crypto.beacon import KnownReveals, beacon_seed, next_beacon, reveal
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.ledger.epochs import kept, missed, primaries
from potp2p.protocol.ledger.genesis import (
    DevnetAccounts,
    chain_id_of,
    devnet_genesis,
    genesis_outcome,
)
from potp2p.protocol.ledger.heights import epoch_blocks, epoch_of, reveal_position
from potp2p.protocol.ledger.keys import chain_key
from potp2p.protocol.ledger.records import Chain
from potp2p.protocol.wire.blocks import Frame
from potp2p.protocol.wire.genesis import ConsensusParameters
from potp2p.protocol.wire.schema import decode
from potp2p.simulation.genesis import key_of
from potp2p.simulation.withholding.goal import Goal
from potp2p.simulation.withholding.plan import (
    Seats,
    Target,
    Timing,
    WithholdingPlan,
    WithholdingReport,
)

DEPTH_MAX: Final = 12
"""Turns of its own that the league looks ahead: beyond, options double for hardly any gain."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """The chain before some height, and who has revealed since the set was fixed."""

    height: Height
    chain: Chain
    seen: frozenset[ValidatorIndex]
    tests: int = 0
    """Beacons that have not drawn the contribution, so far."""


@dataclass(slots=True)
class League:
    """One chain, and the third of its primaries that work together."""

    plan: WithholdingPlan
    seed: int
    members: frozenset[ValidatorIndex] = field(init=False)
    withheld: int = 0
    own_blocks: int = 0
    _now: _Moment = field(init=False)
    _goal: Goal = field(init=False)
    _consensus: ConsensusParameters = field(init=False)
    _secrets: tuple[bytes, ...] = field(init=False)
    _reveals: dict[Epoch, tuple[list[Digest], ...]] = field(
        default_factory=dict[Epoch, tuple[list[Digest], ...]]
    )
    _known: KnownReveals = field(default_factory=KnownReveals)

    def __post_init__(self) -> None:
        size = self.plan.validators
        keys = [key_of(f"seat {self.seed} {index}") for index in range(size)]
        client, sponsor = key_of("client").node_id, key_of("sponsor").node_id
        nobody = DevnetAccounts(client, Amount(0), sponsor, Amount(0))
        genesis = devnet_genesis(keys, nobody, time_milliseconds=self.seed)
        record = genesis_outcome(genesis, chain_id_of(genesis)).state_writes[chain_key()]
        assert record is not None
        self._now = _Moment(Height(1), decode(Chain, record), frozenset())
        self._consensus = genesis.consensus
        self._secrets = tuple(each.secret for each in keys)
        count = faulty_max(size)
        step = 1 if self.plan.seats is Seats.ADJACENT else size // count
        self.members = frozenset(ValidatorIndex(index * step) for index in range(count))
        self._goal = Goal(self.plan, [keys[seat].node_id for seat in range(size)], self.members)

    def run(self) -> WithholdingReport:
        """Make as many draws as planned, one after the other on one chain."""
        random = Random(f"potp2p/withholding/{self.seed}")
        first, successes = self._now.height, 0
        for number in range(self.plan.draws):
            self._goal.number = number
            if self.plan.target is Target.UNDETECTED:
                self._let_pass(self._wait(random))
            successes += self._draw()
        blocks = self._now.height - first
        return WithholdingReport(self.plan.draws, successes, blocks, self.withheld, self.own_blocks)

    def _wait(self, random: Random) -> int:
        """Return how many blocks pass before a set is fixed."""
        size = self.plan.validators
        if self.plan.timing is Timing.ANY:
            return random.randrange(size)
        return max(range(size), key=lambda wait: (*self._last_words(wait), -wait))

    def _last_words(self, wait: int) -> tuple[int, int]:
        """
        Return how much of a draw is the league's, whose set is fixed after so many blocks.

        Its turns among those that decide the draw, and how many of its turns lead up to the last.
        """
        chain, height = self._now.chain, self._now.height + wait
        seen: set[ValidatorIndex] = set()
        run = own = tests = 0
        while tests < self.plan.tests:
            leader = primaries(chain, Height(height))[0]
            seen.add(leader)
            run = run + 1 if leader in self.members else 0
            if len(seen) >= self._due:
                tests += 1
                own += leader in self.members
            height += 1
        return own, run

    @property
    def _due(self) -> int:
        """Return how many different primaries reveal before a draw."""
        return weak_quorum(self.plan.validators) if self.plan.target is Target.UNDETECTED else 1

    def _let_pass(self, blocks: int) -> None:
        """Decide some blocks about which the league has no wish."""
        for _ in range(blocks):
            leader = primaries(self._now.chain, self._now.height)[0]
            self.own_blocks += leader in self.members
            self._now = self._after(self._now, 0, leader)
        self._now = replace(self._now, seen=frozenset())

    def _draw(self) -> bool:
        """Let heights pass until the draw is decided; the league decides about its turns."""
        outcome: float | None = None
        while outcome is None:
            self._step()
            outcome, self._now = self._judge(self._now)
        self._now = replace(self._now, seen=frozenset(), tests=0)
        return outcome == 1.0

    def _step(self) -> None:
        """Decide one block."""
        order = primaries(self._now.chain, self._now.height)
        view = 0
        while order[view] in self.members and self.plan.withholds and view + 1 < len(order):
            reveals = self._worth(self._after(self._now, view, order[view]), DEPTH_MAX)
            if reveals >= 1.0 or reveals >= self._worth_of_view(self._now, view + 1, DEPTH_MAX):
                break
            view += 1
        self.withheld += view
        self.own_blocks += order[view] in self.members
        self._now = self._after(self._now, view, order[view], verify=True)

    def _judge(self, moment: _Moment) -> tuple[float | None, _Moment]:
        """Return what the beacon after a block decides, if it does, and how far the draw is."""
        if len(moment.seen) < self._due:
            return None, moment
        outcome = self._goal.outcome(moment.chain.beacon, moment.height, moment.tests)
        return outcome, replace(moment, tests=moment.tests + 1)

    def _worth(self, moment: _Moment, depth: int) -> float:
        """Return the chance of success after a block of the league's."""
        outcome, moment = self._judge(moment)
        return self._worth_of_view(moment, 0, depth) if outcome is None else outcome

    def _worth_of_view(self, moment: _Moment, view: int, depth: int) -> float:
        """Return the chance of success where a view of a height is to be led."""
        order = primaries(moment.chain, moment.height)
        if view >= len(order) or order[view] not in self.members or depth == 0:
            return self._goal.chance(moment.tests)
        reveals = self._worth(self._after(moment, view, order[view]), depth - 1)
        if reveals >= 1.0:
            return reveals
        return max(reveals, self._worth_of_view(moment, view + 1, depth - 1))

    def _after(
        self, moment: _Moment, view: int, leader: ValidatorIndex, *, verify: bool = False
    ) -> _Moment:
        """Return the chain after a block that was first proposed in a view: the frame's rules."""
        chain, height = moment.chain, moment.height
        revealed = self._reveal(height, leader)
        if verify:
            anchor = self._chain_of(epoch_of(height, self._consensus))[leader][0]
            self._known.verify(revealed, anchor, reveal_position(height, self._consensus))
        seats = list(chain.seats)
        for seat in primaries(chain, height)[:view]:
            seats[seat] = missed(seats[seat], height)
        frame = Frame(leader, View(view), revealed)
        seats[leader] = kept(seats[leader], height, frame)
        beacon = next_beacon(chain.beacon, revealed)
        after = replace(chain, seats=tuple(seats), beacon=beacon)
        return _Moment(Height(height + 1), after, moment.seen | {leader}, moment.tests)

    def _reveal(self, height: Height, seat: ValidatorIndex) -> Digest:
        position = reveal_position(height, self._consensus)
        return self._chain_of(epoch_of(height, self._consensus))[seat][position]

    def _chain_of(self, epoch: Epoch) -> tuple[list[Digest], ...]:
        """Return the hash chains of an epoch, by seat and position."""
        if epoch not in self._reveals:
            length = epoch_blocks(self._consensus)
            self._reveals = {
                known: each for known, each in self._reveals.items() if known + 1 >= epoch
            }
            self._reveals[epoch] = tuple(
                _links(beacon_seed(secret, epoch), length) for secret in self._secrets
            )
        return self._reveals[epoch]


def _links(seed: bytes, length: int) -> list[Digest]:
    """Return every link of a hash chain, its anchor first."""
    links = [reveal(seed, length, length)]
    for _ in range(length):
        links.append(sha256(links[-1]))
    links.reverse()
    return links
