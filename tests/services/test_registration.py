"""A registration waits for its devices and carries a stamp above the last one."""

from pathlib import Path

import trio
from trio.testing import MockClock

from potp2p.foundation.types import AccountId, Amount, ChainId, Cycle
from potp2p.protocol.ledger.stamp import NO_STAMP, is_stamp
from potp2p.services.chain import ChainService
from potp2p.services.registration import Registrar
from tests.doubles.workers import FakeWorkers
from tests.doubles.world import key_of, open_world

CHAIN = ChainId(bytes(32))
NODE = key_of("rig").node_id


def first_cycle() -> Cycle:
    return Cycle(0)


def registrar(workers: FakeWorkers, bits: int = 6) -> Registrar:
    """Return a registrar over fake devices."""
    payout = AccountId(bytes(20))
    return Registrar(CHAIN, NODE, payout, "rig", Amount(3), bits, workers.facts)


async def test_an_offer_waits_until_the_devices_are_known(autojump_clock: MockClock) -> None:
    start = trio.current_time()
    offer = await registrar(FakeWorkers(ready_at=start + 30)).offer(NO_STAMP, first_cycle)
    assert trio.current_time() - start >= 30
    assert (offer.devices, offer.memory_bytes, offer.lowest_price) == (1, 8 << 30, 3)


async def test_every_stamp_is_valid_and_above_the_one_before(autojump_clock: MockClock) -> None:
    stamp = NO_STAMP
    for _ in range(3):
        offer = await registrar(FakeWorkers()).offer(stamp, first_cycle)
        assert offer.stamp > stamp
        assert is_stamp(CHAIN, NODE, offer.stamp, 6)
        stamp = offer.stamp


async def test_a_restart_with_another_payout_is_told_to_the_chain(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=1) as world:
        chain, rig = world.machines["validator-0"].node.chain, world.machines["miner-0"]
        account = rig.keys.account
        await world.until(lambda: chain.state().miner(account) is not None)
        rig.kill()
        rig.payout = key_of("wallet").account
        world.start(rig)
        await world.until(lambda: _payout(chain, account) == rig.payout)


def _payout(chain: ChainService, account: AccountId) -> AccountId | None:
    miner = chain.state().miner(account)
    return None if miner is None else miner.payout
