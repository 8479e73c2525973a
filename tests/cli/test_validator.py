"""What `potp2p validator` shows, over whole nodes: seats, who asks, who leaves."""

from pathlib import Path

import pytest
from trio.testing import MockClock

from cli.work.validator import unbonding_document, validator_lines, validators_document
from potp2p.foundation.errors import FundsError, OperatingError
from potp2p.foundation.types import POT, Amount
from potp2p.protocol.crypto.identity import encode_address
from potp2p.protocol.wire.exchange import Role
from potp2p.simulation.genesis import short_lived
from tests.doubles.world import FEE, key_of, open_world

ASKER = key_of("validator-4")


async def test_a_list_names_seats_who_asks_and_who_leaves(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0, change=short_lived) as world:
        await world.height(1)
        client = world.client()
        document = await validators_document(client)
        assert (document["bond_min"], document["seats_max"]) == ("100", 7)
        rows = document["seats"]
        assert isinstance(rows, list)
        assert [row["address"] for row in rows] == [
            key_of(f"validator-{index}").address for index in range(4)
        ]
        assert {(row["bond"], row["leaving"], row["convicted_at"]) for row in rows} == {
            ("1000", None, None)
        }
        assert document["candidates"] == []

        owner = world.client("validator-0")
        await owner.unbond(Amount(1_000 * POT), Amount(0))
        told = await unbonding_document(owner)
        assert told["leaves_seat"] is True
        assert (told["bond"], told["unbonding"]) == ("1000", "0")
        with pytest.raises(OperatingError, match="leaves its seat already"):
            await owner.unbond(Amount(1), Amount(0))
        with pytest.raises(FundsError, match="bond 1000 POT is below"):
            await owner.unbond(Amount(1_001 * POT), Amount(0))
        lines = validator_lines(await validators_document(client))
        assert any("leaves with 1000" in line for line in lines)


async def test_who_asks_is_listed_before_it_sits(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_world(tmp_path, miners=0, change=short_lived) as world:
        await world.height(1)
        client = world.client()
        await client.bond(ASKER.account, Amount(500 * POT), FEE)
        world.add("validator-4", Role.VALIDATOR)
        chain = world.machines["validator-1"].node.chain
        await world.until(lambda: bool(chain.state().candidates().rows))
        document = await validators_document(client)
        rows = document["candidates"]
        assert isinstance(rows, list)
        listed = [(row["address"], row["bond"]) for row in rows]
        assert listed == [(encode_address(ASKER.account), "500")]
        await world.until(lambda: len(chain.prospects.nodes) == 5)
