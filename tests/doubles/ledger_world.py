"""A network in one ledger: nodes that do what the state asks of them, without any training."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import (
    POT,
    Amount,
    BlobId,
    Digest,
    Epoch,
    MicroNats,
    NodeId,
    PartsPerMillion,
    Rank,
    Round,
    Signature,
    TaskId,
    View,
)
from potp2p.protocol.crypto.beacon import NO_REVEAL, beacon_seed, chain_anchor, reveal
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair, account_of
from potp2p.protocol.incentives.deterrence import fair_pay
from potp2p.protocol.ledger.audit_duties import AuditDuty, audit_duties
from potp2p.protocol.ledger.block import Ledger, Outcome, Prospects
from potp2p.protocol.ledger.contributions import bitmap_of
from potp2p.protocol.ledger.duties import LeaseDuty, miner_duties, validator_duties
from potp2p.protocol.ledger.genesis import (
    DevnetAccounts,
    chain_id_of,
    devnet_genesis,
    genesis_outcome,
)
from potp2p.protocol.ledger.heights import reveal_position
from potp2p.protocol.ledger.keys import LeasePlace
from potp2p.protocol.ledger.money import held
from potp2p.protocol.ledger.receipt_records import Receipt
from potp2p.protocol.ledger.receipts import receipts_in
from potp2p.protocol.ledger.records import Account, Miner, Task
from potp2p.protocol.ledger.stamp import NO_STAMP, last_before, search_stamp
from potp2p.protocol.ledger.state import State, decode_record
from potp2p.protocol.ledger.tasks import samples_of
from potp2p.protocol.ledger.transition import (
    decode_transaction,
    sign_paid_transaction,
    sign_transaction,
    transaction_id,
)
from potp2p.protocol.ledger.validity import block_hash, transactions_root
from potp2p.protocol.verification.commitments import (
    Contribution,
    Finding,
    LeaseKey,
    audit_commitment,
    trace_commitment,
)
from potp2p.protocol.verification.results import commit_to
from potp2p.protocol.verification.tolerance import tolerance_of
from potp2p.protocol.wire.blocks import (
    BLOCK_VERSION,
    NO_DIGEST,
    RANK_NONE,
    BlockBody,
    Frame,
    Header,
)
from potp2p.protocol.wire.genesis import Genesis, GenesisAccount, GenesisValidator
from potp2p.protocol.wire.schema import encode
from potp2p.protocol.wire.tasks import (
    BatchRule,
    FinishRule,
    Mode,
    ModelRule,
    Objective,
    Optimizer,
    OptimizerRule,
    RoundRule,
    TaskRules,
    ToleranceClass,
)
from potp2p.protocol.wire.transactions import (
    Anchor,
    Attest,
    AttestPackage,
    AuditCommit,
    Bond,
    Challenge,
    Contribute,
    Free,
    Paid,
    Ready,
    RegisterMiner,
    RevealAudit,
    RevealTrace,
    RoundResult,
    SubmitTask,
)
from potp2p.protocol.wire.verification import Distances, Instability, Trace, TraceEntry

RULES: Final = TaskRules(
    mode=Mode.GRADIENT,
    seed=7,
    model=ModelRule("vit", Objective.CLASSIFY, 1_000, ToleranceClass.SMOOTH, 1, 1 << 20),
    batch=BatchRule(1, 8, 4),
    optimizer=OptimizerRule(Optimizer.SGD, 10_000_000, 10_000_000, 0, 0, 0, 1_000_000, 200),
    rounds=RoundRule(
        rounds=3, shards=6, shards_per_round=6, deadline=6, attest_window=4, result_deadline=5
    ),
    finish=FinishRule(0, MicroNats(0), 0),
)
BUDGET: Final = Amount(18 * POT)
"""One POT per lease."""
HONEST: Final = Distances(PartsPerMillion(20), PartsPerMillion(200), True)
FORGED: Final = Distances(PartsPerMillion(900_000), PartsPerMillion(900_000), True)
_TOLERATED: Final = tolerance_of(RULES.model.tolerance, RULES.mode).overall
NEAR: Final = Distances(PartsPerMillion(2 * _TOLERATED), PartsPerMillion(200), True)
"""Between one tolerance and three."""
SALT: Final = bytes(range(32))


def key_pair(name: str) -> KeyPair:
    """Return the same key for the same name, whatever else a test makes."""
    return KeyPair.from_secret(sha256(name.encode()))


@dataclass(slots=True)
class MemoryStore:
    """State and tree in two dictionaries, as the decided blocks left them."""

    records: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    tree: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])

    def get_state(self, key: bytes) -> bytes | None:
        return self.records.get(key)

    def get_node(self, path: bytes) -> bytes | None:
        return self.tree.get(path)

    def keep(self, outcome: Outcome) -> None:
        for table, writes in (
            (self.records, outcome.state_writes),
            (self.tree, outcome.node_writes),
        ):
            for key, value in writes.items():
                if value is None:
                    table.pop(key, None)
                else:
                    table[key] = value


def small_genesis(validators: Sequence[KeyPair], client: KeyPair, sponsor: KeyPair) -> Genesis:
    """Return devnet rules with spans so short that a test sees them end."""
    whole = devnet_genesis(
        validators,
        DevnetAccounts(client.node_id, Amount(1_000 * POT), sponsor.node_id, Amount(1_000 * POT)),
        time_milliseconds=1,
    )
    consensus = replace(
        whole.consensus,
        cycle_blocks=10,
        epoch_cycles=2,
        lottery_cycles=3,
        forced_inclusion_blocks=2,
    )
    length = consensus.cycle_blocks * consensus.epoch_cycles
    return replace(
        whole,
        consensus=consensus,
        money=replace(whole.money, unbonding_blocks=160, ban_blocks=30, base_fee_floor=Amount(0)),
        training=replace(
            whole.training,
            stamp_bits=4,
            audit_deadline=5,
            audit_rounds=0,
            audit_all_deadline=8,
            audit_all_rounds=0,
            challenge_window=6,
            package_deadline=8,
        ),
        validators=tuple(
            GenesisValidator(each.node_id, chain_anchor(beacon_seed(each.secret, Epoch(0)), length))
            for each in validators
        ),
    )


def trace_of(task: TaskId, round_: int, shard: int) -> Trace:
    """Return what honest training of a lease would show, whoever does it."""
    start = 2_000_000 - 50_000 * round_ + 1_000 * shard + task[0]
    return Trace(tuple(TraceEntry(MicroNats(start - entry), 10**9 + entry) for entry in range(8)))


def losses_of(round_: int, shard: int) -> tuple[MicroNats, MicroNats]:
    """Return loss before and after the own update."""
    before = 2_000_000 - 50_000 * round_ + 1_000 * shard
    return MicroNats(before), MicroNats(before - 10_000 - shard)


def result_of(  # every part of it is one that a validator may lie about
    task: TaskId,
    what: bytes,
    *,
    loss: int = 1_000_000,
    round_: int = 0,
    flagged: bytes = b"",
    dropped: bytes = b"",
    salt: bytes = SALT,
) -> RoundResult:
    """Return the result of a validator that says what it likes."""
    return RoundResult(
        task, Round(round_), salt, BlobId(sha256(what)), MicroNats(loss), flagged, dropped
    )


Silence = Callable[[NodeId, Free], bool]
Measure = Callable[[NodeId, LeaseKey], Distances]
Measured = Callable[[NodeId, LeaseKey], Instability | None]


@dataclass
class LedgerWorld:
    """Every honest node of a network, driven block by block; tests bend single ones."""

    genesis: Genesis
    validators: tuple[KeyPair, ...]
    miners: tuple[KeyPair, ...]
    client: KeyPair
    silent: Silence = lambda _node, _action: False
    """What a node fails to say."""
    hidden: Callable[[NodeId], bool] = lambda _miner: False
    """Whose payloads nobody can have: no judge attests them."""
    measure: Measure = lambda _auditor, _lease: HONEST
    """What an auditor finds."""
    instability: Measured = lambda _auditor, _lease: None
    """How far an auditor's own replays lie apart; None where it did not measure it."""
    root_of: Callable[[NodeId, Digest], Digest] = lambda _validator, root: root
    """What a validator posts as a round's result."""
    flagged: bytes = b""
    """What the screens of every round suspect."""
    dropped: bytes = b""
    """What they take out."""
    store: MemoryStore = field(default_factory=MemoryStore)
    parent: Header | None = None
    receipts: list[Receipt] = field(default_factory=list[Receipt])
    held: dict[bytes, int] = field(default_factory=dict[bytes, int])
    authors: list[Rank] = field(default_factory=list[Rank])

    def __post_init__(self) -> None:
        self.chain_id = chain_id_of(self.genesis)
        self.keys = {each.node_id: each for each in (*self.validators, *self.miners, self.client)}
        first = genesis_outcome(self.genesis, self.chain_id)
        self.ledger = Ledger(self.genesis, self.store, self.store, first.state_root)
        self._keep(first)

    def rewrite(self, state: State) -> None:
        """Put what a test wrote under the last block, as if it had always been there."""
        self.store.records.update(
            (key, value)
            for key, value in state.overlay.encoded_writes().items()
            if value is not None
        )
        root = self.ledger.state_root
        self.ledger = Ledger(self.genesis, self.store, self.store, root)

    # What tests look at.

    @property
    def state(self) -> State:
        return self.ledger.state()

    @property
    def height(self) -> int:
        return 0 if self.parent is None else self.parent.body.height

    def account(self, keys: KeyPair) -> Account:
        return self.state.account(account_of(keys.node_id))

    def miner(self, keys: KeyPair) -> Miner:
        found = self.state.miner(account_of(keys.node_id))
        assert found is not None
        return found

    def task(self, task: TaskId) -> Task:
        return self.state.task(task)

    def seated(self) -> tuple[NodeId, ...]:
        """Return who holds the seats of the next height."""
        return self.ledger.prospects(self.parent).nodes

    # What nodes say.

    def join(self, name: str, bond: int) -> KeyPair:
        """Bond a new validator out of the client's money; it asks for a seat like an honest one."""
        keys = key_pair(name)
        self.validators = (*self.validators, keys)
        self.keys[keys.node_id] = keys
        self.block(self.paid(self.client, Bond(account_of(keys.node_id), Amount(bond))))
        return keys

    def run_epoch(self) -> None:
        """Let everyone do its duties up to the last block of the present epoch, or of the next."""
        self.run(1)
        while self.height % self._epoch_blocks():
            self.run(1)

    def free(self, keys: KeyPair, action: Free) -> bytes:
        return sign_transaction(keys, self.chain_id, action)

    def paid(self, keys: KeyPair, action: Paid, *, fee: int = 0, nonce: int | None = None) -> bytes:
        place = self.account(keys).nonce if nonce is None else nonce
        return sign_paid_transaction(keys, self.chain_id, place, Amount(fee), action)

    def submit(self, rules: TaskRules = RULES, budget: Amount = BUDGET) -> TaskId:
        """Order a training in the next block."""
        signed = self.paid(self.client, SubmitTask(BlobId(sha256(b"package")), budget, rules))
        self.block(signed)
        return TaskId(transaction_id(decode_transaction(signed).body))

    def duties(self) -> list[bytes]:
        """Return what all honest nodes would say now, but for what they fail to."""
        said: list[tuple[KeyPair, Free]] = []
        state = self.state
        for keys in self.miners:
            said += ((keys, action) for action in self._mine(state, keys))
        for keys in self.validators:
            said += ((keys, action) for action in self._validate(state, keys))
        for keys in (*self.miners, *self.validators):
            duties = audit_duties(state, keys.node_id)
            said += ((keys, self.audit_statement(keys, duty)) for duty in duties)
        return [
            self.free(keys, action)
            for keys, action in said
            if not self.silent(keys.node_id, action)
        ]

    def registration(self, keys: KeyPair, *, after: bytes = NO_STAMP, **changes: object) -> Free:
        stamp, valid = search_stamp(
            self.chain_id,
            keys.node_id,
            self.genesis.training.stamp_bits,
            after=last_before(after, self.state.chain().cycle),
            tries=10_000,
        )
        assert valid
        whole = RegisterMiner(1, 1 << 30, 3, Amount(0), account_of(keys.node_id), "rig", stamp)
        return replace(whole, **changes)

    def contribution(self, keys: KeyPair, duty: LeaseDuty) -> Contribute:
        before, after = losses_of(duty.round, duty.shard)
        lease = LeaseKey(duty.task, duty.round, duty.shard, keys.node_id)
        return Contribute(
            task=duty.task,
            round=duty.round,
            shard=duty.shard,
            payload=BlobId(sha256(encode(lease))),
            trace_commitment=trace_commitment(
                lease, SALT, trace_of(duty.task, duty.round, duty.shard)
            ),
            samples=samples_of(duty.rules),
            loss_before=before,
            loss_after=after,
            diverged=False,
        )

    def trace_opening(self, place: LeasePlace) -> RevealTrace:
        return RevealTrace(*place, SALT, trace_of(*place))

    def finding(self, keys: KeyPair, duty: AuditDuty) -> Finding:
        lease = LeaseKey(duty.task, duty.round, duty.shard, duty.miner)
        distances = self.measure(keys.node_id, lease)
        return Finding(
            trace_of(duty.task, duty.round, duty.shard),
            *losses_of(duty.round, duty.shard),
            distances,
            self.instability(keys.node_id, lease),
        )

    def audit_statement(self, keys: KeyPair, duty: AuditDuty) -> AuditCommit | RevealAudit:
        place = (duty.task, duty.round, duty.shard)
        finding = self.finding(keys, duty)
        if duty.revealing:
            return RevealAudit(
                *place,
                SALT,
                finding.trace,
                finding.loss_before,
                finding.loss_after,
                finding.distances,
                finding.instability,
            )
        contribution = Contribution(LeaseKey(*place, duty.miner), duty.payload)
        return AuditCommit(*place, audit_commitment(contribution, keys.node_id, SALT, finding))

    def _mine(self, state: State, keys: KeyPair) -> Iterable[Free]:
        duties = miner_duties(state, keys.node_id)
        if duties.register:
            yield self.registration(keys)
        if duties.ready is not None:
            yield Ready(duties.ready)
        for lease in duties.leases:
            yield self.contribution(keys, lease)
        for place in duties.reveals:
            yield self.trace_opening(place)
        for place in duties.recourses:
            yield Challenge(*place, expects_fail=False)

    def _validate(self, state: State, keys: KeyPair) -> Iterable[Free]:
        duties = validator_duties(state, keys.node_id, self.genesis)
        for package in duties.packages:
            yield AttestPackage(package.task, True)
        for attest in duties.attests:
            if attest.claims_ended:
                claimed = {(each.shard, each.miner) for each in attest.claimed}
                places = tuple(
                    place
                    for place, row in enumerate(attest.rows)
                    if row in claimed and not self.hidden(row[1])
                )
                yield Attest(attest.task, attest.round, bitmap_of(places))
        for result in duties.results:
            parts = [each.payload for each in result.accepted]
            root = self.root_of(keys.node_id, sha256(result.theta + b"".join(parts)))
            loss = MicroNats(1_900_000 - 40_000 * result.round)
            shown = RoundResult(
                task=result.task,
                round=result.round,
                salt=SALT,
                root=BlobId(root),
                evaluation_loss=loss,
                flagged=self.flagged,
                dropped=self.dropped,
            )
            yield shown if result.revealing else commit_to(keys.node_id, shown)
        if duties.anchor is not None:
            yield Anchor(duties.anchor, self._anchor(keys, duties.anchor))

    # What becomes of it.

    def block(
        self,
        *transactions: bytes,
        view: int = 0,
        strict: bool = True,
        rank: Rank | None = None,
    ) -> Outcome:
        """Decide one block: assembled by its author, executed again by everyone else."""
        prospects = self.ledger.prospects(self.parent)
        primary = prospects.primaries[view % len(prospects.primaries)]
        if rank is None:
            rank = Rank(0) if prospects.ranking else RANK_NONE
        author = prospects.nodes[primary] if rank == RANK_NONE else prospects.ranking[rank]
        own = self.ledger.assemble(
            self.parent, prospects.height, author, rank, transactions, lambda _: False
        )
        if strict and own.refused:
            raise own.refused[0][1]
        again = self.ledger.execute(
            self.parent, prospects.height, author, rank, own.included, lambda _: True
        )
        assert again.state_root == own.state_root, "author and validators disagree"
        assert again.state_writes == own.state_writes
        frame = Frame(primary, View(view), self._reveal(prospects, primary))
        self.ledger.verify_frame(frame, self.parent)
        self.parent = Header(
            self._body(prospects, author, rank, again), Signature(bytes(64)), frame
        )
        self.authors.append(rank)
        self.receipts += receipts_in(again.settled)
        self._keep(again)
        return again

    def run(self, blocks: int) -> None:
        """Let everyone do its duties for some blocks."""
        for _ in range(blocks):
            self.block(*self.duties(), strict=False)

    def run_until(self, condition: Callable[[], bool], *, blocks: int = 200) -> None:
        """Let everyone do its duties until something is so."""
        for _ in range(blocks):
            if condition():
                return
            self.run(1)
        raise AssertionError(f"not so after {blocks} blocks")

    def refusal(self, transaction: bytes) -> RejectionReason | None:
        """Return why a block with this transaction would be refused, or None."""
        prospects = self.ledger.prospects(self.parent)
        try:
            self.ledger.execute(
                self.parent,
                prospects.height,
                prospects.nodes[prospects.primaries[0]],
                RANK_NONE,
                [transaction],
                lambda _: False,
            )
        except PeerError as error:
            return error.reason
        return None

    def _anchor(self, keys: KeyPair, epoch: Epoch) -> Digest:
        return chain_anchor(beacon_seed(keys.secret, epoch), self._epoch_blocks())

    def _epoch_blocks(self) -> int:
        return self.genesis.consensus.cycle_blocks * self.genesis.consensus.epoch_cycles

    def _reveal(self, prospects: Prospects, primary: int) -> Digest:
        if prospects.anchors[primary] == NO_DIGEST:
            return NO_REVEAL
        owner = self.keys[prospects.nodes[primary]]
        seed = beacon_seed(owner.secret, prospects.epoch)
        position = reveal_position(prospects.height, self.genesis.consensus)
        return reveal(seed, self._epoch_blocks(), position)

    def _body(
        self, prospects: Prospects, author: NodeId, rank: Rank, outcome: Outcome
    ) -> BlockBody:
        return BlockBody(
            version=BLOCK_VERSION,
            height=prospects.height,
            previous_hash=NO_DIGEST if self.parent is None else block_hash(self.parent),
            previous_seal_hash=NO_DIGEST,
            epoch=prospects.epoch,
            cycle=prospects.cycle,
            author=author,
            rank=rank,
            transactions_root=transactions_root(outcome.included),
            state_root=outcome.state_root,
            next_validators_hash=prospects.next_validators_hash,
            certificate_hash=prospects.certificate_hash,
            time_milliseconds=int(prospects.height),
        )

    def _keep(self, outcome: Outcome) -> None:
        """Store an outcome; every record must be one that the next block can read, and balance."""
        for key, encoded in outcome.state_writes.items():
            record = None if encoded is None else decode_record(key, encoded)
            assert encoded is None or encode(record) == encoded
            self.held[key] = held(record)
        self.store.keep(outcome)
        self.ledger.state_root = outcome.state_root
        chain = self.state.chain()
        first = sum(each.balance + each.bond for each in self.genesis.accounts)
        assert sum(self.held.values()) == chain.supply, "money appeared or vanished"
        assert chain.supply == first + chain.issued - chain.burned


def build_world(
    *,
    validators: int = 4,
    miners: int = 3,
    change: Callable[[Genesis], Genesis] = lambda genesis: genesis,
) -> LedgerWorld:
    """Return a network at height 0."""
    seats = tuple(key_pair(f"validator {number}") for number in range(validators))
    rigs = tuple(key_pair(f"miner {number}") for number in range(miners))
    client, sponsor = key_pair("client"), key_pair("sponsor")
    genesis = change(small_genesis(seats, client, sponsor))
    return LedgerWorld(genesis, seats, rigs, client)


def with_modest_bonds(genesis: Genesis) -> Genesis:
    """Return seats of 100 POT, of which 50 are the least, so that a client can bond more."""
    seats = {account_of(each.node) for each in genesis.validators}
    accounts = tuple(
        replace(each, bond=Amount(100 * POT)) if each.account in seats else each
        for each in genesis.accounts
    )
    money = replace(genesis.money, validator_bond=Amount(50 * POT))
    return replace(genesis, accounts=accounts, money=money)


def with_audits(rate: int, **changes: object) -> Callable[[Genesis], Genesis]:
    """
    Return a change of a genesis: another audit rate, and other numbers of its training part.

    Where audits are rare the usual pay is as small as the bond covers: dearer leases are audited
    more often all the same.
    """

    def change(genesis: Genesis) -> Genesis:
        training = replace(genesis.training, audit_rate=PartsPerMillion(rate), **changes)
        pay = min(genesis.money.lease_pay, fair_pay(genesis.money, training) - 1)
        money = replace(genesis.money, lease_pay=Amount(pay))
        return replace(genesis, training=training, money=money)

    return change


def without_tips(genesis: Genesis) -> Genesis:
    """Return a network whose claims leave no tips, so that validators earn by judging alone."""
    return replace(genesis, money=replace(genesis.money, claim_tip=PartsPerMillion(0)))


def with_large_bonds(genesis: Genesis) -> Genesis:
    """Bond the miners so highly that hardly one contribution in a million is audited."""
    rigs = [key_pair(f"miner {number}").node_id for number in range(3)]
    rich = [GenesisAccount(account_of(rig), Amount(0), Amount(10**6 * POT)) for rig in rigs]
    accounts = tuple(sorted((*genesis.accounts, *rich), key=lambda each: each.account))
    return with_audits(1)(replace(genesis, accounts=accounts))
