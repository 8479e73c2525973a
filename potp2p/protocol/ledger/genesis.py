"""The first state, and the checks that make a genesis document one that a network can live by."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from potp2p.foundation.errors import RejectionReason
from potp2p.foundation.limits import (
    AMOUNT_BOUND,
    AUDIT_REPORTS_MAX,
    BASE_FEE_MAX,
    SETS_KEPT_MAX,
)
from potp2p.foundation.types import (
    GENESIS_HEIGHT,
    POT,
    Amount,
    ChainId,
    Cycle,
    Epoch,
    NodeId,
    PartsPerMillion,
)
from potp2p.protocol.crypto.beacon import (
    CHAIN_LENGTH_MAX,
    beacon_seed,
    chain_anchor,
    first_beacon,
)
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.crypto.identity import KeyPair, account_of
from potp2p.protocol.incentives.deterrence import strategies
from potp2p.protocol.ledger.audit_reach import least_reach
from potp2p.protocol.ledger.block import Outcome
from potp2p.protocol.ledger.context import require
from potp2p.protocol.ledger.heights import epoch_blocks
from potp2p.protocol.ledger.keys import account_key, chain_key
from potp2p.protocol.ledger.records import Account, Chain
from potp2p.protocol.ledger.seat_records import Seat
from potp2p.protocol.ledger.tree import EMPTY, update
from potp2p.protocol.wire.blocks import NO_DIGEST
from potp2p.protocol.wire.genesis import (
    ConsensusParameters,
    Genesis,
    GenesisAccount,
    GenesisValidator,
    MoneyParameters,
    TrainingParameters,
)
from potp2p.protocol.wire.schema import encode

PPM: Final = 1_000_000
FORCED_INCLUSION_BLOCKS_MIN: Final = 2
"""After half of them the statement is handed to those who lack it."""
LIFE_BLOCKS: Final = 1 << 31
"""Thirty years of half-second blocks."""
SPAN_MAX: Final = 1 << 40
"""Blocks; heights plus a span stay below HEIGHT_BOUND."""


class _NoNodes:
    """The empty tree."""

    def get_node(self, path: bytes) -> bytes | None:
        """Return nothing: there is nothing yet."""
        del path
        return None


def genesis_outcome(genesis: Genesis, chain_id: ChainId) -> Outcome:
    """Return the first state as an outcome to store at height 0; raises where a rule is broken."""
    verify_genesis(genesis)
    supply = sum(each.balance + each.bond for each in genesis.accounts)
    chain = Chain(
        beacon=first_beacon(chain_id),
        epoch=Epoch(0),
        cycle=Cycle(0),
        seats=tuple(
            Seat(
                node=each.node,
                anchor=each.anchor,
                next_anchor=NO_DIGEST,
                misses=0,
                skipped_until=GENESIS_HEIGHT,
                leaving=Amount(0),
                convicted=GENESIS_HEIGHT,
                revealed=GENESIS_HEIGHT,
            )
            for each in genesis.validators
        ),
        next_seats=(),
        tasks=(),
        unsettled=(),
        miners=(),
        supply=Amount(supply),
        burned=Amount(0),
        burned_in_cycle=Amount(0),
        burned_by_cycle=(),
        issued=Amount(0),
        passed_over=(),
        barred=(),
        pending_tips=Amount(0),
        base_fee=genesis.money.base_fee_floor,
    )
    writes: dict[bytes, bytes | None] = {chain_key(): encode(chain)}
    for each in genesis.accounts:
        record = Account(balance=each.balance, nonce=0, bond=each.bond, unbonding=())
        writes[account_key(each.account)] = encode(record)
    root, node_writes = update(_NoNodes(), EMPTY, writes)
    return Outcome(root, writes, node_writes, (), (), ())


def verify_genesis(genesis: Genesis) -> None:
    """
    Raise PeerError unless the parameters fit together.

    Above all, cheating must not pay: `incentives/deterrence.py` has the inequality and its source.
    """
    rules = (
        *_seat_rules(genesis),
        *_consensus_rules(genesis),
        *_span_rules(genesis),
        *_deterrence_rules(genesis),
    )
    for holds, complaint in rules:
        require(holds, RejectionReason.OUT_OF_BOUNDS, f"genesis: {complaint}")


_Rule = tuple[bool, str]


def _seat_rules(genesis: Genesis) -> tuple[_Rule, ...]:
    """Return whether accounts and seats fit together."""
    money = genesis.money
    nodes = [each.node for each in genesis.validators]
    accounts = [each.account for each in genesis.accounts]
    bonds = {each.account: each.bond for each in genesis.accounts}
    supply = sum(each.balance + each.bond for each in genesis.accounts)
    shares = money.miners_share + money.auditors_share + money.burned_share
    return (
        (len(nodes) >= 1, "no validator"),
        (len(set(nodes)) == len(nodes), "a validator twice"),
        (len(nodes) <= genesis.consensus.seats_max, "more validators than seats"),
        (accounts == sorted(set(accounts)), "accounts are not ascending and distinct"),
        (shares == PPM, f"shares add up to {shares} ppm"),
        (supply < AMOUNT_BOUND // 2, "more money than amounts can count, with room for subsidy"),
        (
            money.subsidy_floor * LIFE_BLOCKS < AMOUNT_BOUND // 2,
            "more subsidy than amounts can count in the life of a chain",
        ),
        (money.slash_share <= PPM, "slash beyond the bond"),
        (money.unserved_fine <= PPM, "claims fined by more than a lease pays"),
        (money.result_share <= PPM, "results cost more than the auditors' share"),
        (money.claim_tip < PPM, "tips of claims that leave nothing to miners"),
        (money.validator_bond > 0, "seats without a bond"),
        (money.base_fee_floor <= BASE_FEE_MAX, "bytes dearer than any price"),
        (
            all(bonds.get(account_of(node), 0) >= money.validator_bond for node in nodes),
            "a validator without its bond",
        ),
    )


def _consensus_rules(genesis: Genesis) -> tuple[_Rule, ...]:
    """Return whether blocks, views and audits can go on at all."""
    consensus, training = genesis.consensus, genesis.training
    return (
        (
            0 < epoch_blocks(consensus) <= CHAIN_LENGTH_MAX,
            "epoch of no blocks, or longer than a beacon chain",
        ),
        (consensus.lottery_cycles > 0, "no lottery window"),
        (
            consensus.forced_inclusion_blocks >= FORCED_INCLUSION_BLOCKS_MIN,
            "blocks are refused before their authors are told why",
        ),
        (
            consensus.author_window <= consensus.block_interval or not consensus.block_interval,
            "author window beyond the block interval",
        ),
        (consensus.view_timeout > 0 and consensus.view_step > 0, "a view without time"),
        (consensus.view_cap >= consensus.view_step, "view cap below the first step"),
        (0 < training.audit_rate <= PPM, "audit rate"),
        (training.audit_committee >= 1, "no auditor"),
        (
            2 * training.audit_committee + consensus.seats_max <= AUDIT_REPORTS_MAX,
            "more auditors and judges than the record of an audit can hold",
        ),
        (training.audit_deadline >= 1, "no time to audit"),
        (training.audit_all_deadline >= 2, "no time for all judges"),  # noqa: PLR2004  # two halves
        (training.challenge_window >= 1, "no time to challenge"),
        (training.package_deadline >= 1, "no time to attest a package"),
        (training.miner_deadline >= 1, "no time to wait for a miner"),
    )


def _deterrence_rules(genesis: Genesis) -> tuple[_Rule, ...]:
    """Return whether every way to cheat loses money on average."""
    money, training = genesis.money, genesis.training
    return (
        (money.miner_bond > 0, "miners without a bond"),
        (money.lease_pay > 0, "leases without pay"),
        (money.auditor_slash <= money.miner_bond, "auditors slashed by more than they bond"),
        *(
            (each.gain < 0, f"{each.name} earns {each.gain} on average")
            for each in strategies(money, training)
        ),
    )


def _span_rules(genesis: Genesis) -> tuple[_Rule, ...]:
    """
    Return whether a bond outlasts an epoch and every deadline.

    Whoever left a seat can then still be slashed for what it judges to its end; a task's own
    deadlines are held to that at its submission.
    """
    money, training, blocks = genesis.money, genesis.training, epoch_blocks(genesis.consensus)
    return (
        (
            money.unbonding_blocks < SPAN_MAX and money.ban_blocks < SPAN_MAX,
            "span beyond any chain",
        ),
        (
            money.unbonding_blocks > blocks + least_reach(genesis),
            "unbonding ends before audits do",
        ),
        (
            money.unbonding_blocks > blocks + training.package_deadline,
            "unbonding ends before packages are attested",
        ),
        (
            money.unbonding_blocks <= SETS_KEPT_MAX * blocks,
            "more epochs within the unbonding time than sets of seats are kept",
        ),
    )


@dataclass(frozen=True, slots=True)
class DevnetAccounts:
    """Who has money in a devnet from the start."""

    client: NodeId
    client_balance: Amount
    sponsor: NodeId
    sponsor_balance: Amount


SEATS_DEVNET: Final = 7
DEVNET_CONSENSUS: Final = ConsensusParameters(
    block_interval=500,
    author_window=200,
    view_timeout=1_000,
    view_step=700,
    view_cap=10_000,
    cycle_blocks=20,
    epoch_cycles=5,
    lottery_cycles=10,
    seats_max=SEATS_DEVNET,
    forced_inclusion_blocks=4,
)
DEVNET_MONEY: Final = MoneyParameters(
    validator_bond=Amount(1_000 * POT),
    miner_bond=Amount(20 * POT),
    unbonding_blocks=2_400,
    miners_share=PartsPerMillion(750_000),
    auditors_share=PartsPerMillion(200_000),
    burned_share=PartsPerMillion(50_000),
    result_share=PartsPerMillion(100_000),
    claim_tip=PartsPerMillion(20_000),
    subsidy_floor=Amount(1 * POT),
    sponsor_bond=Amount(20 * POT),
    slash_share=PartsPerMillion(PPM),
    auditor_slash=Amount(20 * POT),
    # The miner's share of a lease of one POT.
    lease_pay=Amount(3 * POT // 4),
    unserved_fine=PartsPerMillion(300_000),
    ban_blocks=2_000,
    base_fee_floor=Amount(1_000),
)
DEVNET_TRAINING: Final = TrainingParameters(
    payload_bytes_per_round=256 << 20,
    parameters_max=200_000_000,
    package_deadline=240,
    miner_deadline=2_400,
    audit_rate=PartsPerMillion(120_000),
    audit_committee=2,
    audit_deadline=40,
    audit_rounds=1,
    audit_all_deadline=80,
    audit_all_rounds=2,
    challenge_window=40,
    stamp_bits=16,
)


def devnet_genesis(
    validators: Sequence[KeyPair],
    accounts: DevnetAccounts,
    *,
    time_milliseconds: int,
    network: str = "devnet",
) -> Genesis:
    """Return the document of a network on one machine, with the parameters of DESIGN section 13."""
    length = DEVNET_CONSENSUS.cycle_blocks * DEVNET_CONSENSUS.epoch_cycles
    rows = [
        GenesisAccount(account_of(each.node_id), Amount(0), DEVNET_MONEY.validator_bond)
        for each in validators
    ]
    rows.append(GenesisAccount(account_of(accounts.client), accounts.client_balance, Amount(0)))
    rows.append(GenesisAccount(account_of(accounts.sponsor), accounts.sponsor_balance, Amount(0)))
    return Genesis(
        network=network,
        time_milliseconds=time_milliseconds,
        consensus=replace(DEVNET_CONSENSUS, seats_max=max(SEATS_DEVNET, len(validators))),
        money=DEVNET_MONEY,
        training=DEVNET_TRAINING,
        accounts=tuple(sorted(rows, key=lambda row: row.account)),
        validators=tuple(
            GenesisValidator(each.node_id, chain_anchor(beacon_seed(each.secret, Epoch(0)), length))
            for each in validators
        ),
        sponsor=account_of(accounts.sponsor),
    )


def chain_id_of(genesis: Genesis) -> ChainId:
    """Return the id of the chain that a document starts."""
    return ChainId(sha256(encode(genesis)))
