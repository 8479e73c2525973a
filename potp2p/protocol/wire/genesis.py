"""The genesis document: parameters, first accounts and validators; its hash is the chain id."""

from dataclasses import dataclass
from typing import Annotated

from potp2p.foundation.limits import MINERS_MAX, VALIDATORS_MAX
from potp2p.protocol.wire.fields import (
    AccountField,
    AmountField,
    CountField,
    DigestField,
    MillisecondsField,
    NodeField,
    PpmField,
)
from potp2p.protocol.wire.schema import Many, Text, Uint


@dataclass(frozen=True, slots=True)
class ConsensusParameters:
    """Block times and view timers."""

    block_interval: MillisecondsField
    author_window: MillisecondsField
    view_timeout: MillisecondsField
    """T0: view 0."""
    view_step: MillisecondsField
    """Later views: view_step x 1.5^min(k, 8)."""
    view_cap: MillisecondsField
    cycle_blocks: Annotated[int, Uint(1 << 20)]
    epoch_cycles: Annotated[int, Uint(1 << 20)]
    lottery_cycles: Annotated[int, Uint(1 << 10)]
    """Cycles whose accepted work counts in one draw."""
    seats_max: Annotated[int, Uint(VALIDATORS_MAX + 1)]
    forced_inclusion_blocks: Annotated[int, Uint(1 << 10)]
    """A free transaction that was valid for so many blocks is refused to be left out any longer."""


@dataclass(frozen=True, slots=True)
class MoneyParameters:
    """Bonds, shares and subsidy."""

    validator_bond: AmountField
    miner_bond: AmountField
    unbonding_blocks: CountField
    miners_share: PpmField
    auditors_share: PpmField
    burned_share: PpmField
    """Shares of a round's price; they add up to one million."""
    result_share: PpmField
    """Part of the auditors' share that validators earn with a round's result."""
    claim_tip: PpmField
    """Part of the miners' share that a lease's first claim tips its block with; zero: nothing."""
    subsidy_floor: AmountField
    """Per block."""
    sponsor_bond: AmountField
    """What the sponsor account bonds for each new miner, while it can; zero: nothing."""
    slash_share: PpmField
    """Part of a bond that a failed audit costs; half of it is burned."""
    auditor_slash: AmountField
    """What a report that contradicts the final verdict costs, a validator too."""
    lease_pay: AmountField
    """Pay of a lease that the miner bond covers at the base rate; dearer ones are audited more."""
    unserved_fine: PpmField
    """Part of what a lease pays that a claim costs whose payload was not attested; burned."""
    ban_blocks: CountField
    base_fee_floor: AmountField
    """Least price per byte of a paid transaction, and the first one; zero: there is none."""


@dataclass(frozen=True, slots=True)
class TrainingParameters:
    """What the network lets a task ask for, and how it checks."""

    payload_bytes_per_round: CountField
    parameters_max: CountField
    package_deadline: CountField
    """Blocks within which f+1 validators must attest a package."""
    miner_deadline: CountField
    """Blocks that a task waits for a miner that may take its next round."""
    audit_rate: PpmField
    audit_committee: Annotated[int, Uint(VALIDATORS_MAX + 1)]
    audit_deadline: CountField
    """Blocks for commits, as many again for reveals, and for commits of replacements."""
    audit_rounds: Annotated[int, Uint(256)]
    """The same in round deadlines of the task; the longer counts."""
    audit_all_deadline: CountField
    """Blocks in which all judges replay: the first half for commits, the second for reveals."""
    audit_all_rounds: Annotated[int, Uint(256)]
    """The same in round deadlines of the task; the longer counts."""
    challenge_window: CountField
    """Blocks in which a provisional ruling, or no draw, may be challenged."""
    stamp_bits: Annotated[int, Uint(64)]
    """Leading zero bits of a registration's SHA-256 stamp."""


@dataclass(frozen=True, slots=True)
class GenesisAccount:
    """Money, and bond, that exists from the start."""

    account: AccountField
    balance: AmountField
    bond: AmountField


@dataclass(frozen=True, slots=True)
class GenesisValidator:
    """A seat of epoch 0."""

    node: NodeField
    anchor: DigestField
    """End of its beacon chain of epoch 0."""


@dataclass(frozen=True, slots=True)
class Genesis:
    """The document whose SHA-256 is the chain id."""

    network: Annotated[str, Text(32)]
    time_milliseconds: MillisecondsField
    consensus: ConsensusParameters
    money: MoneyParameters
    training: TrainingParameters
    accounts: Annotated[tuple[GenesisAccount, ...], Many(MINERS_MAX)]
    """Ascending by account id."""
    validators: Annotated[tuple[GenesisValidator, ...], Many(VALIDATORS_MAX)]
    """In seat order."""
    sponsor: AccountField | None
