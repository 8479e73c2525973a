"""One replica against everything at once: hypothesis chooses events, crashes and their order."""

from copy import deepcopy

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from potp2p.foundation.types import FIRST_VIEW, Height, Rank, ValidatorIndex, View
from potp2p.protocol.consensus.catch_up import status_of
from potp2p.protocol.consensus.effects import Accuse, Broadcast, Cast, Decide, Effect, RequestBlock
from potp2p.protocol.consensus.events import (
    BetterBodyHeard,
    BlockOffered,
    Event,
    LoggedEvent,
    MessageReceived,
    Resumed,
    SealReceived,
    StatusReceived,
    Timer,
    TimerFired,
)
from potp2p.protocol.consensus.height import HeightState
from potp2p.protocol.consensus.machine import Replica
from potp2p.protocol.wire.blocks import RANK_NONE
from potp2p.protocol.wire.consensus import (
    Commit,
    Prepare,
    Propose,
    ProvenViewChange,
    SignedMessage,
    Statement,
    ViewChange,
)
from potp2p.simulation.core.messages import (
    certificate,
    checked,
    commit,
    prepare,
    propose,
    seal,
    view_change,
)
from potp2p.simulation.core.stubs import FIRST_HEIGHT, TIMING, start, stub_signature
from tests.doubles.committee import APPLE, PEAR

SIZE, SEAT = 4, 1
QUORUM = 3
OTHERS = st.sampled_from([0, 2, 3])
VIEWS = st.sampled_from([0, 0, 1, 1, 2, 3, 5])
BLOCKS = st.sampled_from([APPLE, PEAR])
CERTIFIED = (APPLE, PEAR, PEAR, APPLE, APPLE)
"""By view: a quorum never prepares two blocks in one."""
PHASES: dict[type, int] = {ViewChange: 0, Propose: 1, Prepare: 2, Commit: 3}


class OneReplica(RuleBasedStateMachine):
    """Three other seats say whatever their keys allow; the replica crashes and replays."""

    @initialize()
    def begin(self) -> None:
        self.facts = start(SIZE, SEAT)
        self.replica = Replica(TIMING)
        self.log: list[LoggedEvent] = []
        self.said: list[Statement] = []
        self.first_votes: dict[tuple[type, int, int], object] = {}
        self.view = FIRST_VIEW
        self.decided = False
        self.accused: list[int] = []
        self.step(self.facts)

    @property
    def at(self) -> HeightState:
        assert self.replica.at is not None
        return self.replica.at

    def step(self, event: Event) -> list[Effect]:
        """Log and step; own statements are signed and come back at once."""
        if not isinstance(event, StatusReceived | Resumed):
            self.log.append(event)
        effects: list[Effect] = []
        for effect in self.replica.step(event):
            effects.append(effect)
            if isinstance(effect, Cast):
                self.judge_statement(effect)
                effects += self.step(MessageReceived(effect.signed(stub_signature(SEAT))))
            elif isinstance(effect, Decide):
                self.judge_decision(effect)
            elif isinstance(effect, Accuse):
                self.judge_accusation(effect)
            elif isinstance(effect, RequestBlock):
                assert self.facts.primary(effect.view) == SEAT
        return effects

    # What the replica may say

    def judge_statement(self, cast: Cast) -> None:
        """Places rise, and each phase has its reason, recounted from what was heard."""
        statement = cast.statement
        place = (statement.view, PHASES[type(statement)])
        if statement not in self.said:
            for earlier in self.said:
                assert (earlier.view, PHASES[type(earlier)]) < place, (earlier, statement)
            self.said.append(statement)
        if isinstance(statement, Commit):
            voters = self.voters(Prepare, statement.view, statement.block_hash)
            assert len(voters) >= QUORUM, voters
        if isinstance(statement, ViewChange):
            commits = [each for each in self.said if isinstance(each, Commit)]
            last = max(commits, key=lambda each: each.view, default=None)
            claim = statement.prepared
            assert (claim is None) == (last is None)
            if claim is not None and last is not None:
                assert (claim.view, claim.block_hash) == (last.view, last.block_hash)
                assert cast.certificate is not None
                signers = {each.signer for each in cast.certificate.signatures}
                assert signers <= self.voters(Prepare, claim.view, claim.block_hash)
        if isinstance(statement, Propose) and statement.view > 0:
            assert len({each.statement.signer for each in cast.view_changes}) >= QUORUM

    def judge_decision(self, decide: Decide) -> None:
        signers = {each.signer for each in decide.seal.signatures}
        assert len(signers) >= QUORUM
        self.decided = True

    def judge_accusation(self, accuse: Accuse) -> None:
        first, second = accuse.first.statement, accuse.second.statement
        assert first != second
        assert type(first) is type(second)
        assert (first.signer, first.view) == (second.signer, second.view)
        assert first.signer not in self.accused
        self.accused.append(first.signer)

    def voters(self, kind: type, view: int, block_hash: object) -> set[int]:
        """Return whose first vote of a view names a block; ours is among them once it came back."""
        return {
            signer
            for (each, where, signer), block in self.first_votes.items()
            if each is kind and where == view and block == block_hash
        } | {
            each.signer
            for each in self.said
            if isinstance(each, Prepare | Commit)
            and isinstance(each, kind)
            and (each.view, each.block_hash) == (view, block_hash)
        }

    def hear(self, message: SignedMessage) -> None:
        statement = message.statement
        if isinstance(statement, Prepare | Commit):
            key = (type(statement), statement.view, statement.signer)
            self.first_votes.setdefault(key, statement.block_hash)
        self.step(MessageReceived(message))

    # Events

    @rule(signer=OTHERS, view=VIEWS, block=BLOCKS)
    def prepare(self, signer: int, view: int, block: object) -> None:
        self.hear(prepare(signer, APPLE if block is APPLE else PEAR, view=view))

    @rule(view=VIEWS, block=BLOCKS)
    def everyone_prepares(self, view: int, block: object) -> None:
        for signer in (0, 2, 3):
            self.hear(prepare(signer, APPLE if block is APPLE else PEAR, view=view))

    @rule(signer=OTHERS, view=VIEWS, block=BLOCKS)
    def commit(self, signer: int, view: int, block: object) -> None:
        self.hear(commit(signer, APPLE if block is APPLE else PEAR, view=view))

    @rule(view=VIEWS, block=BLOCKS, certified=st.booleans(), low=st.booleans())
    def propose(self, view: int, block: object, certified: bool, low: bool) -> None:
        leader = int(self.facts.primary(View(view)))
        if leader == SEAT:
            return
        chosen = APPLE if block is APPLE else PEAR
        if view == 0:
            self.hear(propose(leader, chosen))
            return
        proven = 0 if low else view - 1
        if certified:
            chosen = CERTIFIED[proven]
        proof = certificate(chosen, (0, 2, 3), view=proven) if certified else None
        shown = tuple(
            view_change(signer, view, certificate=proof if signer == 2 else None)
            for signer in (0, 2, 3)
        )
        self.hear(propose(leader, chosen, view=view, view_changes=shown, certificate=proof))

    @rule(block=BLOCKS, valid=st.booleans(), rank=st.sampled_from([0, 1, RANK_NONE]))
    def proposed_block_is_executed(self, block: object, valid: bool, rank: int) -> None:
        proposal = self.at.proposal
        if proposal is None:
            return
        view = proposal.statement.view
        framed = view if proposal.certificate is None else proposal.certificate.view
        self.step(
            checked(
                proposal.statement.block_hash,
                valid=valid,
                rank=rank,
                primary=self.facts.primary(View(framed)),
                first_view=framed,
                first_proposal=proposal.certificate is None,
            )
        )

    @rule(signer=OTHERS, view=st.sampled_from([1, 1, 2, 3, 5, 4_000_000]))
    def view_change(self, signer: int, view: int) -> None:
        self.hear(view_change(signer, view))

    @rule(signer=OTHERS, view=st.sampled_from([2, 3, 5]))
    def view_change_with_claim(self, signer: int, view: int) -> None:
        proof = certificate(CERTIFIED[view - 1], (0, 2, 3), view=view - 1)
        self.hear(view_change(signer, view, certificate=proof))

    @rule()
    def view_times_out(self) -> None:
        if self.at.timer_view is not None:
            self.step(TimerFired(Timer.VIEW, FIRST_HEIGHT, self.at.timer_view))

    @rule(timer=st.sampled_from(list(Timer)), view=VIEWS)
    def old_timer_fires(self, timer: Timer, view: int) -> None:
        if view != self.at.timer_view:
            self.step(TimerFired(timer, FIRST_HEIGHT, View(view)))

    @rule(view=VIEWS, block=BLOCKS)
    def own_block_is_offered(self, view: int, block: object) -> None:
        if self.at.requested_view == view:
            chosen = APPLE if block is APPLE else PEAR
            self.step(BlockOffered(FIRST_HEIGHT, View(view), chosen))

    @rule(rank=st.sampled_from([0, 1, 2]))
    def better_body_is_heard(self, rank: int) -> None:
        self.step(BetterBodyHeard(FIRST_HEIGHT, Rank(rank)))

    @rule(height=st.sampled_from([0, 2]), signer=OTHERS)
    def another_height_speaks(self, height: int, signer: int) -> None:
        before = deepcopy(self.at)
        self.step(MessageReceived(prepare(signer, APPLE, height=height)))
        self.step(BetterBodyHeard(Height(height), Rank(0)))
        assert self.at == before

    @rule(signer=OTHERS)
    def status_is_answered_without_a_trace(self, signer: int) -> None:
        before = deepcopy(self.at)
        self.step(StatusReceived(ValidatorIndex(signer), status_of(self.at)))
        assert self.at == before

    @precondition(lambda self: not self.decided)
    @rule(block=BLOCKS, chance=st.integers(0, 9))
    def seal_arrives(self, block: object, chance: int) -> None:
        if chance == 0:
            self.step(SealReceived(seal(APPLE if block is APPLE else PEAR, (0, 2, 3))))

    @rule()
    def crashes_and_replays(self) -> None:
        """The same log leads to the same replica; resuming says nothing new."""
        replayed = Replica(TIMING)
        for event in self.log:
            replayed.step(event)
        assert replayed == self.replica
        self.replica = replayed
        said = [message.statement for message in self.at.own.values()]
        effects = replayed.step(Resumed())
        if not self.decided:
            for effect in effects:
                if isinstance(effect, Broadcast) and hasattr(effect.frame, "statement"):
                    assert effect.frame.statement in said
            assert not any(isinstance(effect, Cast) for effect in effects)

    # What always holds

    @invariant()
    def view_never_falls(self) -> None:
        assert self.at.view >= self.view
        self.view = self.at.view

    @invariant()
    def proposal_in_work_is_of_this_view(self) -> None:
        proposal = self.at.proposal
        assert proposal is None or proposal.statement.view == self.at.view

    @invariant()
    def tables_are_bounded(self) -> None:
        at = self.at
        assert sum(map(len, at.prepares.by_view.values())) <= 4 * SIZE
        assert sum(map(len, at.commits.by_view.values())) <= 4 * SIZE
        assert len(at.view_changes.by_signer) <= SIZE

    @invariant()
    def first_vote_of_each_signer_is_the_one_that_counts(self) -> None:
        for view, votes in self.at.prepares.by_view.items():
            for signer, vote in votes.items():
                if signer != SEAT:
                    first = self.first_votes[Prepare, view, signer]
                    assert vote.statement.block_hash == first

    @invariant()
    def highest_view_change_of_each_signer_is_kept(self) -> None:
        for message in self.at.view_changes.by_signer.values():
            assert isinstance(message, ProvenViewChange)
            assert message.statement.view > 0

    @invariant()
    def nothing_is_said_after_a_decision(self) -> None:
        if self.decided:
            assert not self.at.casting


OneReplica.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestOneReplica = OneReplica.TestCase
