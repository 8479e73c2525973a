"""How money is cut: shares of a price, split by score, subsidy of a block. Nothing is lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from potp2p.foundation.types import Amount
from potp2p.protocol.wire.genesis import ConsensusParameters, MoneyParameters

PPM: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class LeasePrice:
    """What one accepted lease costs the client, by whom it goes to."""

    miner: Amount
    auditors: Amount
    burned: Amount
    tip: Amount
    """To the block that takes in the lease's first claim, whatever becomes of the lease."""

    @property
    def whole(self) -> Amount:
        """Return the price of the lease."""
        return Amount(self.miner + self.auditors + self.burned + self.tip)


def lease_price(budget: int, leases: int, money: MoneyParameters) -> LeasePrice:
    """
    Cut a budget into equal leases; what does not divide stays in the escrow.

    The tip comes out of the miners' share: a miner pays for its claim's place in a block, as
    whoever sends a paid transaction does.
    """
    price = budget // leases
    auditors = price * money.auditors_share // PPM
    burned = price * money.burned_share // PPM
    miner = price - auditors - burned
    tip = miner * money.claim_tip // PPM
    return LeasePrice(Amount(miner - tip), Amount(auditors), Amount(burned), Amount(tip))


def split(pool: int, scores: Sequence[int]) -> tuple[Amount, ...]:
    """Share a pool by score; the rounding remainder goes to the first in order."""
    total = sum(scores)
    if total == 0:
        return (Amount(0),) * len(scores)
    parts = [pool * score // total for score in scores]
    parts[0] += pool - sum(parts)
    return tuple(Amount(part) for part in parts)


def audit_worth(price: LeasePrice, *, rate: int, committee: int) -> int:
    """
    Return the price of one audit.

    A lease puts its auditors' share into the pool, and `rate x committee` audits are expected of
    it, so one audit is worth the share divided by that expectation, but no more than the lease that
    it repeats: where audits are rare by the base rate they may be frequent all the same.
    """
    return min(price.miner, price.auditors * PPM // max(1, rate * committee))


def result_pay(price: LeasePrice, money: MoneyParameters) -> Amount:
    """Return the part of a lease's auditors' share that goes to who found the round's result."""
    return Amount(price.auditors * money.result_share // PPM)


def audit_pay(price: LeasePrice, pool: int, audits: int, *, rate: int, committee: int) -> Amount:
    """Return the pay of each audit of a round: its price, or an equal part of a short pool."""
    if audits == 0:
        return Amount(0)
    return Amount(min(audit_worth(price, rate=rate, committee=committee), pool // audits))


def block_subsidy(
    burned_by_cycle: Sequence[int], consensus: ConsensusParameters, money: MoneyParameters
) -> Amount:
    """Return what a ranked author earns: what the window burned per block, plus the floor."""
    blocks = consensus.lottery_cycles * consensus.cycle_blocks
    return Amount(sum(burned_by_cycle) // blocks + money.subsidy_floor)


def author_tips(tips: int, *, ranked: bool) -> Amount:
    """Return the author's half of a block's tips; a primary's own block leaves all to the frame."""
    return Amount(tips // 2 if ranked else 0)
