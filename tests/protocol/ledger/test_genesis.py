"""A genesis document that no network could live by is refused before anything starts."""

from dataclasses import replace

import pytest

from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import Amount, PartsPerMillion
from potp2p.protocol.crypto.identity import account_of
from potp2p.protocol.incentives.deterrence import fair_pay
from potp2p.protocol.ledger.genesis import (
    DEVNET_MONEY,
    DEVNET_TRAINING,
    DevnetAccounts,
    chain_id_of,
    devnet_genesis,
    genesis_outcome,
    verify_genesis,
)
from potp2p.protocol.wire.genesis import Genesis, GenesisAccount
from potp2p.protocol.wire.schema import decode, encode
from tests.doubles.ledger_world import build_world, key_pair

SEATS = [key_pair(f"validator {number}") for number in range(4)]
GENESIS = devnet_genesis(
    SEATS,
    DevnetAccounts(key_pair("client").node_id, Amount(5), key_pair("sponsor").node_id, Amount(7)),
    time_milliseconds=1,
)


def consensus(**changes: int) -> Genesis:
    return replace(GENESIS, consensus=replace(GENESIS.consensus, **changes))


def money(**changes: int) -> Genesis:
    return replace(GENESIS, money=replace(GENESIS.money, **changes))


def training(**changes: int) -> Genesis:
    return replace(GENESIS, training=replace(GENESIS.training, **changes))


def richer(amount: int) -> Genesis:
    rows = tuple(replace(each, balance=Amount(amount)) for each in GENESIS.accounts)
    return replace(GENESIS, accounts=rows)


def test_devnet_genesis_is_sound_and_survives_its_encoding() -> None:
    verify_genesis(GENESIS)
    assert decode(Genesis, encode(GENESIS)) == GENESIS


@pytest.mark.parametrize(
    ("genesis", "complaint"),
    [
        (replace(GENESIS, validators=()), "no validator"),
        (replace(GENESIS, validators=GENESIS.validators[:1] * 2), "twice"),
        (consensus(seats_max=3), "more validators than seats"),
        (replace(GENESIS, accounts=GENESIS.accounts[::-1]), "ascending"),
        (replace(GENESIS, accounts=(GENESIS.accounts[0], *GENESIS.accounts)), "ascending"),
        (money(burned_share=PartsPerMillion(60_000)), "shares add up"),
        (consensus(cycle_blocks=0), "epoch of no blocks"),
        (consensus(epoch_cycles=0), "epoch of no blocks"),
        (consensus(cycle_blocks=1 << 19, epoch_cycles=3), "longer than a beacon chain"),
        (consensus(lottery_cycles=0), "lottery"),
        (consensus(author_window=501), "author window"),
        (consensus(view_timeout=0), "without time"),
        (consensus(view_cap=1), "view cap"),
        (training(audit_rate=0), "audit rate"),
        (training(audit_rate=1_000_001), "audit rate"),
        (training(audit_committee=0), "no auditor"),
        (training(audit_committee=51), "record of an audit"),
        (money(subsidy_floor=1 << 31), "more subsidy"),
        (training(audit_deadline=0), "no time to audit"),
        (training(audit_all_deadline=1), "no time for all judges"),
        (training(challenge_window=0), "no time to challenge"),
        (training(package_deadline=0), "no time to attest"),
        (money(slash_share=1_000_001), "slash"),
        (money(unbonding_blocks=180), "unbonding ends"),
        (training(package_deadline=2_400), "before packages are attested"),
        (money(unbonding_blocks=102_401), "more epochs"),
        (money(validator_bond=0), "seats without a bond"),
        (money(unbonding_blocks=1 << 47), "span"),
        (money(ban_blocks=1 << 47), "span"),
        (money(validator_bond=1_001 * 10**9), "without its bond"),
        (richer(1 << 61), "more money"),
    ],
)
def test_document_that_cannot_work_is_refused(genesis: Genesis, complaint: str) -> None:
    with pytest.raises(PeerError, match=complaint):
        genesis_outcome(genesis, chain_id_of(genesis))


def test_chain_id_changes_with_every_byte_of_the_document() -> None:
    ids = {
        chain_id_of(each)
        for each in (GENESIS, money(ban_blocks=1), replace(GENESIS, time_milliseconds=2))
    }
    assert len(ids) == 3


def test_genesis_state_is_its_accounts_and_one_chain_record() -> None:
    world = build_world()
    assert len(world.store.records) == len(world.genesis.accounts) + 1
    assert world.account(world.validators[0]).bond == DEVNET_MONEY.validator_bond
    assert world.state.chain().supply == sum(
        each.balance + each.bond for each in world.genesis.accounts
    )


def test_devnet_bond_covers_the_pay_of_a_lease() -> None:
    p, bond = DEVNET_TRAINING.audit_rate, DEVNET_MONEY.miner_bond
    pay = fair_pay(DEVNET_MONEY, DEVNET_TRAINING)
    assert pay > DEVNET_MONEY.lease_pay == 10**9 * DEVNET_MONEY.miners_share // 10**6
    assert bond * p >= pay * 3 // 2 * (2_000_000 - p)


def test_sponsor_need_not_exist_and_validator_needs_an_account() -> None:
    verify_genesis(replace(GENESIS, sponsor=None))
    poor = tuple(each for each in GENESIS.accounts if each.account != account_of(SEATS[0].node_id))
    with pytest.raises(PeerError, match="without its bond"):
        verify_genesis(replace(GENESIS, accounts=poor))
    assert GenesisAccount(account_of(SEATS[0].node_id), Amount(0), Amount(0)) not in poor
