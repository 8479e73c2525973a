"""Seats, evidence and work at random: whatever is said, the law holds and nothing is lost."""

from dataclasses import replace
from random import Random

import pytest

from potp2p.foundation.committee import faulty_max
from potp2p.foundation.types import (
    POT,
    Amount,
    Digest,
    Epoch,
    Height,
    NodeId,
    ValidatorIndex,
    View,
)
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.crypto.signing import sign
from potp2p.protocol.ledger.heights import epoch_of, last_of
from potp2p.protocol.ledger.seats import SEATS_MIN, validators_hash
from potp2p.protocol.wire.consensus import Commit
from potp2p.protocol.wire.genesis import Genesis
from potp2p.protocol.wire.schema import encode
from potp2p.protocol.wire.transactions import (
    Bond,
    CancelTask,
    DuplicateVote,
    SignedStatement,
    Unbond,
)
from tests.doubles.ledger_world import (
    RULES,
    build_world,
    key_pair,
    with_audits,
    with_modest_bonds,
)


def with_rich_client(genesis: Genesis) -> Genesis:
    """Return a network in which a client can bond a dozen validators, under many audits."""
    owner = account_of(key_pair("client").node_id)
    accounts = tuple(
        replace(each, balance=Amount(10_000 * POT)) if each.account == owner else each
        for each in genesis.accounts
    )
    whole = with_modest_bonds(genesis)
    modest = {each.account: each for each in whole.accounts}
    rows = tuple(replace(each, bond=modest[each.account].bond) for each in accounts)
    return with_audits(700_000)(replace(whole, accounts=rows))


class Churn:
    """A world to which a seed says what happens."""

    def __init__(self, seed: int) -> None:
        self.random = Random(f"seats {seed}")
        self.world = build_world(miners=3, change=with_rich_client)
        self.joined = 0
        self.sets: dict[int, tuple[NodeId, ...]] = {}

    def run(self, blocks: int) -> None:
        for _ in range(blocks):
            self._say_something()
            self._look()
            self._block()
        self._settle()

    def _block(self) -> None:
        world, random = self.world, self.random
        statements = world.duties()
        random.shuffle(statements)
        kept = statements[: random.randint(len(statements) // 2, len(statements))]
        views = len(world.ledger.prospects(world.parent).primaries)
        view = random.randrange(views) if random.random() < 0.2 else 0
        world.block(*kept, view=view, strict=False)

    def _say_something(self) -> None:
        world, random = self.world, self.random
        what = random.random()
        keys = random.choice(world.validators)
        if what < 0.06:
            self.joined += 1
            world.join(f"joined {self.joined}", random.randint(40, 200) * POT)
        elif what < 0.12:
            amount = Amount(random.randint(1, world.account(keys).bond or 1))
            world.block(world.paid(keys, Unbond(amount)), strict=False)
        elif what < 0.16:
            owner = account_of(keys.node_id)
            gift = Bond(owner, Amount(random.randint(1, 60) * POT))
            world.block(world.paid(world.client, gift), strict=False)
        elif what < 0.20:
            world.block(world.free(keys, self._evidence()), strict=False)
        elif what < 0.24 and len(world.state.chain().tasks) < 3:
            world.submit(RULES)

    def _evidence(self) -> DuplicateVote:
        """Return a proof against some seat of some past height, by whoever held it then."""
        world = self.world
        height = Height(self.random.randint(1, max(1, world.height)))
        epoch = epoch_of(height, world.genesis.consensus)
        nodes = world.state.seats_of(epoch) or world.seated()
        seat = ValidatorIndex(self.random.randrange(len(nodes)))
        keys = world.keys[nodes[seat]]

        def vote(name: Digest) -> SignedStatement:
            said = Commit(Epoch(epoch), height, View(0), seat, name)
            return SignedStatement(said, sign(keys, Commit.DOMAIN, world.chain_id, encode(said)))

        return DuplicateVote(vote(sha256(b"one")), vote(sha256(b"two")))

    def _look(self) -> None:
        """Check what must hold at every height: the announced set sits, within its changes."""
        world = self.world
        prospects = world.ledger.prospects(world.parent)
        if world.parent is not None:
            announced = world.parent.body.next_validators_hash
            assert announced == validators_hash(prospects.nodes)
        before = self.sets.get(prospects.epoch - 1)
        self.sets[prospects.epoch] = prospects.nodes
        if before is not None:
            stay = set(before) & set(prospects.nodes)
            assert len(before) - len(stay) <= faulty_max(len(before))
            assert len(prospects.nodes) - len(stay) <= faulty_max(len(before))
        assert SEATS_MIN <= len(prospects.nodes) <= world.genesis.consensus.seats_max
        last = last_of(prospects.epoch, world.genesis.consensus)
        assert prospects.closes_epoch == (prospects.height == last)
        convicts = {
            node for node in prospects.nodes if world.state.convict(account_of(node)) is not None
        }
        leading = {prospects.nodes[each] for each in prospects.primaries}
        assert len(convicts & leading) <= max(0, len(convicts) - faulty_max(len(prospects.nodes)))

    def _settle(self) -> None:
        """Cancel what nobody may be left to train, and do all duties until everyone is paid."""
        world = self.world
        for task in world.state.chain().tasks:
            world.block(world.paid(world.client, CancelTask(task)), strict=False)
        world.run_until(
            lambda: not world.state.chain().tasks and not world.state.chain().unsettled, blocks=400
        )


@pytest.mark.parametrize("seed", range(3))
def test_law_holds_whatever_seats_do(seed: int) -> None:
    Churn(seed).run(70)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3, 103))
def test_law_holds_whatever_seats_do_for_longer(seed: int) -> None:
    Churn(seed).run(200)
