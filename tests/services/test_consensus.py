"""The consensus service over memory and a virtual clock."""

from random import Random

import pytest
import trio
from trio.testing import MockClock

from tests.doubles.network import MemoryHub, Transit
from tests.doubles.validators import Validator, make_validators, until


def heights(validators: list[Validator]) -> list[int]:
    """Return how many blocks each validator stores."""
    return [len(validator.chain.blocks) for validator in validators]


def assert_one_chain(validators: list[Validator]) -> None:
    """Compare all stored blocks."""
    chains = [[block for block, _ in validator.chain.blocks] for validator in validators]
    shortest = min(len(chain) for chain in chains)
    assert all(chain[:shortest] == chains[0][:shortest] for chain in chains)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
async def test_validators_decide_one_chain_at_the_block_interval(
    size: int, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    validators = make_validators(size, MemoryHub())
    for validator in validators:
        nursery.start_soon(validator.run)

    await until(lambda: min(heights(validators)) >= 5, seconds=4)

    assert_one_chain(validators)
    assert all(seal.view == 0 for _, seal in validators[0].chain.blocks)
    nursery.cancel_scope.cancel()


async def test_a_lossy_late_network_only_slows_the_chain(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    random = Random(7)

    def drop(transit: Transit) -> bool:
        return random.random() < 0.1

    hub = MemoryHub(drop=drop, delay_seconds=lambda _: random.uniform(0.001, 0.1))
    validators = make_validators(4, hub)
    nursery.start_soon(hub.run)
    for validator in validators:
        nursery.start_soon(validator.run)

    await until(lambda: min(heights(validators)) >= 8, seconds=120)

    assert_one_chain(validators)
    assert not hub.penalties
    nursery.cancel_scope.cancel()


async def test_one_of_four_is_killed_and_votes_again_after_restart(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    hub = MemoryHub(delay_seconds=lambda _: 0.005)
    validators = make_validators(4, hub)
    nursery.start_soon(hub.run)
    for validator in validators:
        nursery.start_soon(validator.run)
    await until(lambda: min(heights(validators)) >= 3)

    victim = validators[2]
    victim.kill()
    await until(lambda: min(heights(validators[:2])) >= 7)
    # Catch-up is another service; it hands over what the others sealed.
    victim.boot()
    nursery.start_soon(victim.run)
    while len(victim.chain.blocks) < len(validators[0].chain.blocks):
        block, seal = validators[0].chain.blocks[len(victim.chain.blocks)]
        await victim.service.adopt(block, seal)
    start = len(validators[0].chain.blocks)
    await until(lambda: min(heights(validators)) >= start + 4)

    assert_one_chain(validators)
    recent = [seal for _, seal in validators[0].chain.blocks[start + 1 :]]
    assert any(victim.index in {each.signer for each in seal.signatures} for seal in recent)
    assert not hub.penalties
    nursery.cancel_scope.cancel()
