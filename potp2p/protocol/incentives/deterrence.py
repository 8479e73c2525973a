"""
What cheating earns on average: the inequality that a genesis document must keep (DESIGN 8, end).

R is what is at stake in a lease, B what a conviction takes of a miner's bond, p the probability of
an audit. R is half as much again as a lease earns on average: pay and weight go by score, and who
trains nothing claims the largest gain. A cheat keeps R where it is not caught and loses B where it
is:

    (1 - p/2) R - (p/2) B < 0    or    B > R (2 - p) / p

Half of p is all that is counted on: primaries in league may draw again, which avoids a third of
the audits, and auditors that are all in league pass anything, (1/3)^committee of the time. The
base rate and the least bond keep this for leases of `lease_pay`; for dearer ones the draw raises
p_i to 2R / (R + B), which is the same inequality solved for p. A miner that cheats on k leases at
once gains at most k R (1 - p/2)^k and is caught the more surely, so k = 1 is its best case.

Who claims and serves no payload is never in a set, so that no audit catches it; each such claim is
fined. What it may still earn is by auditing others honestly: all auditors together share a of a
lease's price, of which a part c goes to who found the round's result, and the miner m, less the
part t of it that tips the block with the claim. By a fine of the part u of a miner's pay it loses
where its part of the audits is no larger than that of others, even if its friends write every block
and get the whole tip:

    u (1 - t) m > a (1 - c) + t m

Whoever is below the least bond is audited every time and keeps its pay as bond, so that it loses
with its first conviction all that it was ever paid.
"""

from dataclasses import dataclass
from typing import Final

from potp2p.foundation.types import Amount
from potp2p.protocol.incentives.rewards import LeasePrice, audit_worth
from potp2p.protocol.incentives.scores import SCORE_MAX, SCORE_MEDIAN, most_of
from potp2p.protocol.wire.genesis import MoneyParameters, TrainingParameters

PPM: Final = 1_000_000
LEAGUE: Final = 3
"""A third of all bond may be in league (DESIGN 14)."""
JUDGES_MIN: Final = 4


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to cheat, and what it earns."""

    name: str
    gain: int
    """Expected, per lease or audit, in base units; beyond what honest work would earn."""


def fair_pay(money: MoneyParameters, training: TrainingParameters) -> int:
    """Return the largest pay whose R the least bond covers at the base rate: B = R (2 - p) / p."""
    p = training.audit_rate
    return at_risk_of(money) * p * SCORE_MEDIAN // ((2 * PPM - p) * SCORE_MAX)


def at_risk_of(money: MoneyParameters) -> int:
    """Return B: what a conviction takes of the least bond of a miner."""
    return money.miner_bond * money.slash_share // PPM


def strategies(money: MoneyParameters, training: TrainingParameters) -> tuple[Strategy, ...]:
    """
    Return what each way to cheat earns at the base rate for a lease of the usual pay.

    Auditors and challengers meet all judges, of whom a quorum is honest: drawn auditors that are
    all in league get away with it only while nobody challenges them, which nobody is counted on to
    do here.
    """
    pay, bond, worth = money.lease_pay, at_risk_of(money), worth_of(money, training)
    stake, alone = most_of(pay), LEAGUE**training.audit_committee
    return (
        Strategy("training nothing", _caught(stake, bond, training.audit_rate)),
        # What is saved is at most half of the pay, and the risk is the same.
        Strategy(
            "half the work",
            stake // 2 - (stake + bond) * training.audit_rate // (2 * PPM),
        ),
        Strategy("showing no trace", _caught(stake, bond, training.audit_rate)),
        # The work is done: only what it claims beyond the truth is gained.
        Strategy("claiming a larger gain", _caught(stake - pay, bond, training.audit_rate)),
        Strategy(
            "approving unseen",
            (worth + stake - (alone - 1) * money.auditor_slash) // alone,
        ),
        Strategy(
            "accusing the honest",
            (2 * worth - (alone - 1) * money.auditor_slash) // alone,
        ),
        Strategy("claiming and not serving", _unserved(money)),
        Strategy("a false challenge", -JUDGES_MIN * worth),
        # Half of a slash is always burned: a league loses that much by convicting its own.
        Strategy("accusing oneself", -(bond // 2)),
    )


def worth_of(money: MoneyParameters, training: TrainingParameters) -> int:
    """Return what an audit of a lease of the usual pay is worth."""
    if not money.miners_share:
        return 0
    auditors = money.lease_pay * money.auditors_share // money.miners_share
    price = LeasePrice(money.lease_pay, Amount(auditors), Amount(0), Amount(0))
    return audit_worth(price, rate=training.audit_rate, committee=training.audit_committee)


def _caught(stake: int, bond: int, rate: int) -> int:
    """Return (1 - p/2) R - (p/2) B, rounded up: a fraction of a unit is a gain."""
    return -((bond * rate - stake * (2 * PPM - rate)) // (2 * PPM))


def _unserved(money: MoneyParameters) -> int:
    """Return what audits and tip pay for each lease of the usual pay, less the fine; rounded up."""
    if not money.miners_share:
        return 0
    audits = money.auditors_share * (PPM - money.result_share) * PPM
    tip = money.claim_tip * money.miners_share * PPM
    fine = money.unserved_fine * (PPM - money.claim_tip) * money.miners_share
    return -(money.lease_pay * (fine - audits - tip) // (PPM * PPM * money.miners_share))
