"""Cheating loses money on average, or the network refuses to begin."""

from dataclasses import replace
from itertools import product

import pytest

from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import POT, Amount, PartsPerMillion
from potp2p.protocol.incentives.deterrence import fair_pay, strategies
from potp2p.protocol.ledger.genesis import DEVNET_MONEY, DEVNET_TRAINING, verify_genesis
from potp2p.protocol.verification.sampling import audit_probability
from potp2p.protocol.wire.genesis import Genesis
from tests.doubles.ledger_world import build_world

PPM = 1_000_000
GENESIS = build_world().genesis


def with_money(**changes: object) -> Genesis:
    return replace(GENESIS, money=replace(GENESIS.money, **changes))


def with_training(**changes: object) -> Genesis:
    return replace(GENESIS, training=replace(GENESIS.training, **changes))


def test_every_way_to_cheat_loses_money_on_a_devnet() -> None:
    gains = {each.name: each.gain for each in strategies(DEVNET_MONEY, DEVNET_TRAINING)}
    assert len(gains) == 9
    assert all(gain < 0 for gain in gains.values()), gains
    # (1 - 0.06) x 0.75 x 3/2 - 0.06 x 20 = -0.1425 POT
    assert gains["training nothing"] == -POT * 1425 // 10_000
    # (1 - 0.06) x 0.75 / 2 - 0.06 x 20 = -0.8475 POT
    assert gains["claiming a larger gain"] == -POT * 8475 // 10_000
    # (0.2 x 0.9 / 0.75 + 0.02 - 0.98 x 0.3) x 0.75 = -0.0255 POT
    assert gains["claiming and not serving"] == -POT * 255 // 10_000


@pytest.mark.parametrize(
    ("genesis", "complaint"),
    [
        (with_money(miner_bond=Amount(15 * POT), auditor_slash=Amount(POT)), "training nothing"),
        (with_money(slash_share=PartsPerMillion(700_000)), "training nothing"),
        (with_money(lease_pay=Amount(2 * POT)), "training nothing"),
        (with_training(audit_rate=PartsPerMillion(90_000)), "training nothing"),
        (with_money(auditor_slash=Amount(POT // 10)), "approving unseen"),
        (with_money(auditor_slash=Amount(0)), "approving unseen"),
        (
            with_money(miners_share=PartsPerMillion(950_000), auditors_share=PartsPerMillion(0)),
            "a false challenge earns 0",
        ),
        (with_money(miner_bond=Amount(0), auditor_slash=Amount(0)), "miners without a bond"),
        (with_money(lease_pay=Amount(0)), "leases without pay"),
        (
            with_money(unserved_fine=PartsPerMillion(240_000), claim_tip=PartsPerMillion(0)),
            "claiming and not serving earns 0",
        ),
        (with_money(unserved_fine=PartsPerMillion(265_306)), "claiming and not serving earns 90"),
        (with_money(claim_tip=PartsPerMillion(50_000)), "claiming and not serving"),
        (with_money(claim_tip=PartsPerMillion(PPM)), "leave nothing to miners"),
        (with_money(unserved_fine=PartsPerMillion(0)), "claiming and not serving"),
        (with_money(unserved_fine=PartsPerMillion(PPM + 1)), "fined by more than a lease pays"),
        (with_money(auditor_slash=Amount(21 * POT)), "more than they bond"),
    ],
)
def test_genesis_under_which_cheating_pays_is_refused_by_name(
    genesis: Genesis, complaint: str
) -> None:
    with pytest.raises(PeerError, match=complaint):
        verify_genesis(genesis)


def test_fair_pay_is_the_largest_that_the_bond_covers() -> None:
    covered = fair_pay(DEVNET_MONEY, DEVNET_TRAINING)
    for pay, refused in ((covered - 1, False), (covered + 1, True)):
        gains = strategies(replace(DEVNET_MONEY, lease_pay=Amount(pay)), DEVNET_TRAINING)
        assert (gains[0].gain >= 0) is refused


def test_draw_keeps_the_inequality_for_every_pay_and_bond() -> None:
    for stake, bond, base in product(
        (1, 7, POT, 40 * POT, 10**15), (0, 1, POT, 20 * POT, 10**13), (1, 50_000, 120_000, PPM)
    ):
        p = audit_probability(base=base, at_stake=stake, bond=bond)
        if p < PPM:
            assert stake * (2 * PPM - p) - bond * p <= 0, (stake, bond, base)


def test_many_leases_at_once_are_no_better_than_one() -> None:
    # R (1 - p/2) = (p/2) B holds for one; k leases gain k R q^k and risk (1 - q^k) B.
    p, bond = 0.12, 20.0
    stake = bond * p / (2 - p)
    kept = 1 - p / 2
    gains = [count * stake * kept**count - (1 - kept**count) * bond for count in range(1, 200)]
    assert max(gains) == gains[0] == pytest.approx(0)
