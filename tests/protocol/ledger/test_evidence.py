"""Evidence: what convicts, what does not, and what a conviction costs whom."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.types import (
    POT,
    Amount,
    ChainId,
    Cycle,
    Digest,
    Epoch,
    Height,
    PartsPerMillion,
    Rank,
    Round,
    ValidatorIndex,
    View,
)
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair, account_of
from potp2p.protocol.crypto.signing import sign
from potp2p.protocol.ledger.epochs import primaries
from potp2p.protocol.ledger.evidence import is_open
from potp2p.protocol.ledger.heights import epoch_of
from potp2p.protocol.ledger.records import CycleWeights, Weight
from potp2p.protocol.ledger.seat_records import MISS_WEIGHT
from potp2p.protocol.wire.blocks import BODY_DOMAIN, NO_DIGEST, RANK_NONE, BlockBody
from potp2p.protocol.wire.consensus import (
    Commit,
    Prepare,
    PreparedClaim,
    Propose,
    Statement,
    ViewChange,
)
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import encode
from potp2p.protocol.wire.transactions import (
    Anchor,
    AuditCommit,
    DuplicateBody,
    DuplicateVote,
    Ready,
    SignedBody,
    SignedStatement,
    Unbond,
)
from tests.doubles.ledger_world import (
    LedgerWorld,
    build_world,
    key_pair,
    with_audits,
    with_modest_bonds,
)

APPLE, PEAR = sha256(b"apple"), sha256(b"pear")
SEAT_BOND = 100 * POT


@pytest.fixture
def world() -> LedgerWorld:
    world = build_world(miners=0, change=with_modest_bonds)
    world.run(3)
    return world


def prepare(
    hash_: Digest = APPLE, *, height: int = 2, view: int = 0, seat: int = 1, epoch: int = 0
) -> Prepare:
    return Prepare(Epoch(epoch), Height(height), View(view), ValidatorIndex(seat), hash_)


def signed(
    world: LedgerWorld, keys: KeyPair, statement: Statement, *, chain_id: ChainId | None = None
) -> SignedStatement:
    own = world.chain_id if chain_id is None else chain_id
    return SignedStatement(statement, sign(keys, statement.DOMAIN, own, encode(statement)))


def votes(
    world: LedgerWorld, first: Statement, second: Statement, keys: KeyPair | None = None
) -> DuplicateVote:
    owner = world.validators[first.signer] if keys is None else keys
    return DuplicateVote(signed(world, owner, first), signed(world, owner, second))


def prepares(world: LedgerWorld, **place: int) -> DuplicateVote:
    return votes(world, prepare(APPLE, **place), prepare(PEAR, **place))


def submitted(world: LedgerWorld, action: DuplicateVote | DuplicateBody, seat: int = 0) -> bytes:
    return world.free(world.validators[seat], action)


def refused(world: LedgerWorld, action: DuplicateVote | DuplicateBody) -> RejectionReason | None:
    """Return why evidence is refused; the query before signatures must agree where it can."""
    reason = world.refusal(submitted(world, action))
    unseen = (RejectionReason.BAD_SIGNATURE, None)
    open_ = is_open(world.state, action, world.genesis, Height(world.height + 1))
    assert open_ == (reason in unseen)
    return reason


PLACE = (Epoch(0), Height(2), View(1), ValidatorIndex(1))
CLAIM = PreparedClaim(View(0), APPLE)
PAIRS: list[tuple[Statement, Statement]] = [
    (Prepare(*PLACE, APPLE), Prepare(*PLACE, PEAR)),
    (Commit(*PLACE, APPLE), Commit(*PLACE, PEAR)),
    (Propose(*PLACE, APPLE), Propose(*PLACE, PEAR)),
    (ViewChange(*PLACE, APPLE, None), ViewChange(*PLACE, APPLE, CLAIM)),
    (ViewChange(*PLACE, APPLE, None), ViewChange(*PLACE, PEAR, None)),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: type(pair[0]).__name__)
@pytest.mark.parametrize("order", [1, -1])
def test_two_bodies_under_one_key_cost_the_bond_whatever_their_kind_and_order(
    world: LedgerWorld, pair: tuple[Statement, Statement], order: int
) -> None:
    liar = world.validators[1]
    before = world.state.chain()
    world.block(
        submitted(world, votes(world, pair[0 if order > 0 else 1], pair[1 if order > 0 else 0]))
    )
    after = world.state.chain()
    assert world.account(liar).bond == 0
    assert before.supply - after.supply == SEAT_BOND, "all of it is burned"
    assert after.burned - before.burned == SEAT_BOND
    assert after.burned_in_cycle == before.burned_in_cycle, "no subsidy follows from it"
    assert [each.convicted for each in after.seats] == [0, world.height, 0, 0]


def test_what_one_may_sign_convicts_nobody(world: LedgerWorld) -> None:
    liar, other = world.validators[1], world.validators[2]
    apple, pear = prepare(APPLE), prepare(PEAR)
    foreign = ChainId(sha256(b"another network"))
    commit = Commit(Epoch(0), Height(2), View(0), ValidatorIndex(1), PEAR)
    proof = RejectionReason.BAD_PROOF
    for action, reason in (
        (votes(world, apple, apple), proof),
        (votes(world, apple, commit), proof),
        (votes(world, apple, replace(pear, view=View(1))), proof),
        (votes(world, apple, replace(pear, height=Height(3))), proof),
        (votes(world, apple, replace(pear, signer=ValidatorIndex(2))), proof),
        (votes(world, replace(apple, epoch=Epoch(1)), replace(pear, epoch=Epoch(1))), proof),
        (votes(world, apple, pear, other), RejectionReason.BAD_SIGNATURE),
        (
            DuplicateVote(signed(world, liar, apple), signed(world, liar, pear, chain_id=foreign)),
            RejectionReason.BAD_SIGNATURE,
        ),
        (
            DuplicateVote(
                SignedStatement(apple, signed(world, liar, commit).signature),
                signed(world, liar, pear),
            ),
            RejectionReason.BAD_SIGNATURE,
        ),
        (prepares(world, height=5), RejectionReason.TOO_EARLY),
        (votes(world, prepare(seat=4), prepare(PEAR, seat=4), liar), RejectionReason.NOT_FOUND),
        (votes(world, prepare(height=0), prepare(PEAR, height=0)), proof),
    ):
        assert refused(world, action) is reason, action
    assert refused(world, prepares(world, height=4)) is None, "of the very height that it is in"


def test_offence_is_punished_once_whoever_brings_it_and_in_whatever_words(
    world: LedgerWorld,
) -> None:
    world.genesis = replace(
        world.genesis, money=replace(world.genesis.money, slash_share=PartsPerMillion(500_000))
    )
    world.ledger.genesis = world.genesis
    world.block(submitted(world, prepares(world)))
    assert world.account(world.validators[1]).bond == SEAT_BOND // 2
    third = votes(world, prepare(APPLE), prepare(sha256(b"plum")))
    for again, by in ((prepares(world), 0), (prepares(world), 2), (third, 3)):
        before = world.account(world.validators[by])
        assert world.refusal(submitted(world, again, by)) is RejectionReason.DUPLICATE
        world.block(submitted(world, again, by), strict=False)
        assert world.account(world.validators[by]).bond == before.bond
    world.block(submitted(world, prepares(world, height=3)))
    assert world.account(world.validators[1]).bond == SEAT_BOND // 4, "another height is another"
    convict = world.state.convict(account_of(world.validators[1].node_id))
    assert convict is not None
    first, second = convict.offences
    assert (first.height, second.height) == (2, 3)


def test_key_is_punished_a_bounded_number_of_times(
    world: LedgerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("potp2p.protocol.ledger.evidence.CONVICTIONS_KEPT_MAX", 2)
    world.block(submitted(world, prepares(world)), submitted(world, prepares(world, view=1)))
    assert refused(world, prepares(world, view=2)) is RejectionReason.RATE


def test_evidence_is_good_for_the_unbonding_time_and_no_longer(world: LedgerWorld) -> None:
    span = world.genesis.money.unbonding_blocks
    while world.height < 2 + span - 1:
        world.run(1)
    assert refused(world, prepares(world)) is None
    world.run(1)
    assert refused(world, prepares(world)) is RejectionReason.TOO_LATE
    while world.state.seats_of(Epoch(0)) is not None:
        world.run(1)
    assert refused(world, prepares(world)) is RejectionReason.TOO_LATE


def test_seat_number_means_who_sat_there_then_and_its_unbonding_is_slashed_too(
    world: LedgerWorld,
) -> None:
    leaver, innocent = world.validators[1], world.validators[2]
    world.join("successor", 60 * POT)
    world.block(world.paid(leaver, Unbond(Amount(SEAT_BOND))))
    while world.height < 22:
        world.run(1)
    assert leaver.node_id not in world.seated()
    assert world.seated()[1] == innocent.node_id
    assert world.account(leaver).bond == 0
    world.block(submitted(world, prepares(world)))
    assert [each.amount for each in world.account(leaver).unbonding] == [0]
    assert world.account(innocent).bond == SEAT_BOND
    while world.account(leaver).unbonding:
        world.run(1)
    assert world.account(leaver).balance < POT, "nothing comes back"


def test_convict_leads_no_view_from_the_next_height_on(world: LedgerWorld) -> None:
    liar = world.validators[1]
    while True:
        prospects = world.ledger.prospects(world.parent)
        if prospects.nodes[prospects.primaries[1]] == liar.node_id:
            break
        world.run(1)
    # In the block with the proof the liar misses no turn: view 0 decides.
    world.block(submitted(world, prepares(world)))
    for _ in range(30):
        prospects = world.ledger.prospects(world.parent)
        order = [prospects.nodes[each] for each in prospects.primaries]
        assert (liar.node_id in order) == (len(order) == 4)
        assert liar.node_id not in order
        world.run(1)


def test_missed_turns_of_the_block_with_the_proof_are_those_of_its_own_order(
    world: LedgerWorld,
) -> None:
    liar = world.validators[1]
    while True:
        prospects = world.ledger.prospects(world.parent)
        if prospects.nodes[prospects.primaries[0]] == liar.node_id:
            break
        world.run(1)
    # The liar leads view 0 and fails; view 1 brings the proof against it.
    world.block(submitted(world, prepares(world)), view=1)
    world.run(1)
    misses = {each.node: each.misses for each in world.state.chain().seats}
    assert misses[liar.node_id] == MISS_WEIGHT
    assert sum(misses.values()) == MISS_WEIGHT, "nobody else is blamed"


def test_of_f_that_are_left_out_convicts_come_first(world: LedgerWorld) -> None:
    chain = world.state.chain()
    convicted = (0, 3, 0, 0)
    skipped = (0, 0, 99, 99)
    seats = tuple(
        replace(seat, convicted=Height(at), skipped_until=Height(until))
        for seat, at, until in zip(chain.seats, convicted, skipped, strict=True)
    )
    chain = replace(chain, seats=seats)
    assert 1 not in primaries(chain, Height(4))
    assert 1 in primaries(chain, Height(3)), "a proof counts from the next height on"
    assert len(primaries(chain, Height(4))) == 3


def test_convict_loses_its_seat_to_who_asks_and_never_gets_one_again(world: LedgerWorld) -> None:
    liar = world.validators[1]
    world.block(submitted(world, prepares(world)))
    world.run_epoch()
    assert liar.node_id in world.seated(), "four seats are the least"
    world.join("successor", 60 * POT)
    world.run_epoch()
    assert liar.node_id not in world.seated()
    refill = world.account(world.client).balance // 2
    state = world.state
    record = world.account(liar)
    state.put_account(account_of(liar.node_id), replace(record, bond=Amount(refill)))
    world.rewrite(state)
    epoch = Epoch(epoch_of(Height(world.height + 1), world.genesis.consensus) + 1)
    asks = world.free(liar, Anchor(epoch, APPLE))
    assert world.refusal(asks) is RejectionReason.WRONG_SENDER


# Authors


def body(world: LedgerWorld, author: KeyPair, *, height: int = 2, seed: bytes = b"a") -> SignedBody:
    made = BlockBody(
        version=1,
        height=Height(height),
        previous_hash=sha256(b"parent"),
        previous_seal_hash=NO_DIGEST,
        epoch=Epoch(0),
        cycle=Cycle(0),
        author=author.node_id,
        rank=Rank(0),
        transactions_root=sha256(seed),
        state_root=sha256(seed),
        next_validators_hash=NO_DIGEST,
        certificate_hash=NO_DIGEST,
        time_milliseconds=1,
    )
    return SignedBody(made, sign(author, BODY_DOMAIN, world.chain_id, encode(made)))


def bodies(world: LedgerWorld, author: KeyPair, *, height: int = 2) -> DuplicateBody:
    return DuplicateBody(
        body(world, author, height=height, seed=b"a"),
        body(world, author, height=height, seed=b"b"),
    )


def mining_world(change: Callable[[Genesis], Genesis] = lambda genesis: genesis) -> LedgerWorld:
    world = build_world(change=lambda genesis: change(with_modest_bonds(genesis)))
    world.run(2)
    return world


def with_weights(world: LedgerWorld) -> LedgerWorld:
    """Give every miner the same weight in the present cycle, as if earlier work had earned it."""
    state = world.state
    rows = sorted(
        (Weight(each.node_id, Amount(100)) for each in world.miners), key=lambda row: row.miner
    )
    state.put_frozen_weights(state.chain().cycle, CycleWeights(tuple(rows)))
    state.put_result_weights(state.chain().cycle, CycleWeights(tuple(rows)))
    world.rewrite(state)
    return world


def test_author_of_two_bodies_loses_rank_and_weight_and_is_banned_but_keeps_its_bond() -> None:
    world = with_weights(mining_world())
    liar = world.miners[0]
    bond = world.account(liar).bond
    world.block(submitted(world, bodies(world, liar)))
    record = world.miner(liar)
    assert record.banned_until == world.height + world.genesis.money.ban_blocks
    assert not record.live
    assert world.account(liar).bond == bond > 0
    assert world.refusal(world.free(liar, Ready(Cycle(0)))) is RejectionReason.BANNED
    while world.height < 10:
        assert liar.node_id not in world.ledger.prospects(world.parent).ranking
        world.run(1)
    world.run(1)
    left = {each.miner for each in world.state.frozen_weights(Cycle(1)).weights}
    assert left == {each.node_id for each in world.miners[1:]}
    assert world.state.chain().barred == ()
    assert refused(world, bodies(world, liar)) is RejectionReason.DUPLICATE


def test_proof_against_the_first_author_blames_no_primary_and_no_other_author() -> None:
    world = with_weights(mining_world())
    world.run(1)
    before = {each.author: each.primaries for each in world.state.chain().passed_over}
    first = world.keys[world.ledger.prospects(world.parent).ranking[0]]
    world.block(submitted(world, bodies(world, first)), rank=Rank(1))
    world.run(1)
    after = {each.author: each.primaries for each in world.state.chain().passed_over}
    blamed = {author for author in after if after[author] != before.get(author)}
    assert blamed == {account_of(first.node_id)}, "it had its rank when that block was proposed"


def test_bodies_that_are_no_offence_convict_nobody() -> None:
    world = with_weights(mining_world())
    liar, other, stranger = world.miners[0], world.miners[1], key_pair("stranger")
    one = body(world, liar)
    proof = RejectionReason.BAD_PROOF
    for action, reason in (
        (DuplicateBody(one, one), proof),
        (DuplicateBody(one, body(world, other, seed=b"b")), proof),
        (DuplicateBody(one, body(world, liar, height=3, seed=b"b")), proof),
        (
            DuplicateBody(one, replace(body(world, liar, seed=b"b"), signature=one.signature)),
            RejectionReason.BAD_SIGNATURE,
        ),
        (bodies(world, stranger), RejectionReason.NOT_FOUND),
        (bodies(world, liar, height=0), proof),
        (bodies(world, liar, height=9), RejectionReason.TOO_EARLY),
    ):
        assert refused(world, action) is reason, action


def test_two_bodies_of_a_miner_without_weight_leave_no_record() -> None:
    world = mining_world()
    fresh = key_pair("fresh")
    world.block(world.free(fresh, world.registration(fresh)))
    assert refused(world, bodies(world, fresh)) is RejectionReason.NOT_FOUND
    with_weights(world)
    assert refused(world, bodies(world, fresh)) is RejectionReason.NOT_FOUND, "others have some"
    assert refused(world, bodies(world, world.miners[0])) is None


def test_seat_that_signs_two_bodies_of_its_own_is_punished_like_one_that_votes_twice(
    world: LedgerWorld,
) -> None:
    liar = world.validators[2]
    unranked = [
        replace(each, body=replace(each.body, rank=RANK_NONE))
        for each in (body(world, liar, seed=b"a"), body(world, liar, seed=b"b"))
    ]
    pair = [
        replace(each, signature=sign(liar, BODY_DOMAIN, world.chain_id, encode(each.body)))
        for each in unranked
    ]
    world.block(submitted(world, DuplicateBody(*pair)))
    assert world.account(liar).bond == 0
    assert world.state.chain().seats[2].convicted == world.height


def test_rejection_after_an_author_was_punished_takes_back_nothing_twice() -> None:
    world = mining_world(with_audits(1_000_000))
    liar = world.miners[0]
    # Audits stay open until the weight is booked, so that the round stays to be looked at.
    world.silent = lambda _node, action: isinstance(action, AuditCommit)
    task = world.submit()
    world.run_until(
        lambda: 0 in world.task(task).open_rounds and world.state.round(task, Round(0)).booked
    )
    cycle = world.state.round(task, Round(0)).booked_cycle
    before = {each.miner for each in world.state.result_weights(cycle).weights}
    assert liar.node_id in before
    state = world.state
    state.put_frozen_weights(
        state.chain().cycle, CycleWeights((Weight(liar.node_id, Amount(100)),))
    )
    world.rewrite(state)
    world.block(submitted(world, bodies(world, liar)))
    after = {each.miner for each in world.state.result_weights(cycle).weights}
    assert after == before - {liar.node_id}
    record = world.state.round(task, Round(0))
    own = [row.shard for row in record.leases if row.miner == liar.node_id]
    assert own
    assert all(world.state.lease(task, Round(0), shard).weight == 0 for shard in own)
    world.silent = lambda _node, _action: False
    world.run_until(lambda: world.task(task).escrow == 0)
    assert liar.node_id not in {each.miner for each in world.state.result_weights(cycle).weights}
