"""A client believes a record with a proof under a quorum's seal, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from trio.testing import MockClock

from potp2p.client.light import Trust, trust_in, verify_reply
from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import ChainId, Digest, View
from potp2p.protocol.ledger.keys import account_key, chain_key
from potp2p.protocol.ledger.records import Account
from potp2p.protocol.wire.exchange import QueryReply, QueryRequest
from potp2p.protocol.wire.schema import decode, encode
from tests.doubles.world import CLIENT_MONEY, World, key_of, open_world

CLIENT = account_key(key_of("client").account)
STRANGER = account_key(key_of("stranger").account)
ANYONE = key_of("anyone").node_id


@asynccontextmanager
async def frozen(folder: Path) -> AsyncIterator[World]:
    """A network that stands still after two blocks."""
    async with open_world(folder, miners=0) as world:
        await world.height(2)
        world.freeze()
        yield world


async def ask(world: World, key: bytes) -> QueryReply:
    """Return what a validator answers about a record."""
    queries = world.machines["validator-0"].node.queries
    return decode(QueryReply, await queries.answer_query(ANYONE, encode(QueryRequest(key))))


def is_believed(trust: Trust, key: bytes, reply: QueryReply) -> bool:
    """Tell whether a client takes an answer."""
    try:
        verify_reply(trust, key, reply)
    except PeerError:
        return False
    return True


async def test_a_record_and_an_absence_are_proved(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with frozen(tmp_path) as world:
        trust, _ = trust_in(world.genesis_bytes)
        proved = verify_reply(trust, CLIENT, await ask(world, CLIENT))
        assert proved.value is not None
        assert decode(Account, proved.value).balance == CLIENT_MONEY
        assert proved.header.body.height >= 2
        assert verify_reply(trust, STRANGER, await ask(world, STRANGER)).value is None


async def test_every_forged_part_of_an_answer_is_refused(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with frozen(tmp_path) as world:
        trust, _ = trust_in(world.genesis_bytes)
        true, other = await ask(world, CLIENT), await ask(world, STRANGER)
        rich = encode(replace(decode(Account, true.value or b""), balance=CLIENT_MONEY * 2))
        seal, body = true.seal, true.header.body
        root = replace(true.header, body=replace(body, state_root=Digest(bytes(32))))
        forgeries = {
            "value": replace(true, value=rich),
            "value hidden": replace(true, value=None),
            "value invented": replace(other, value=true.value),
            "proof of another key": replace(true, proof=other.proof),
            "proof of rubbish": replace(true, proof=b"\xff"),
            "empty proof": replace(true, proof=b""),
            "header": replace(true, header=root),
            "too few signers": replace(true, seal=replace(seal, signatures=seal.signatures[:2])),
            "a signer twice": replace(
                true, seal=replace(seal, signatures=(seal.signatures[0], *seal.signatures))
            ),
            "another view": replace(true, seal=replace(seal, view=View(9))),
        }
        for name, forged in forgeries.items():
            key = STRANGER if name == "value invented" else CLIENT
            assert not is_believed(trust, key, forged), name
        with pytest.raises(PeerError):
            verify_reply(trust, chain_key(), true)
        verify_reply(trust, CLIENT, true)


async def test_seals_of_other_validators_or_chains_are_refused(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with frozen(tmp_path) as world:
        trust, _ = trust_in(world.genesis_bytes)
        true = await ask(world, CLIENT)
        with pytest.raises(PeerError):
            verify_reply(Trust(ChainId(bytes(32)), trust.validators), CLIENT, true)
        with pytest.raises(PeerError):
            verify_reply(Trust(trust.chain_id, trust.validators[::-1]), CLIENT, true)


async def test_before_the_first_block_there_is_an_empty_answer_and_no_fault(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        world.freeze()
        queries = world.machines["validator-0"].node.queries
        assert await queries.answer_query(ANYONE, encode(QueryRequest(CLIENT))) == b""
        with pytest.raises(PeerError):
            await queries.answer_query(ANYONE, b"rubbish")


async def test_the_genesis_document_is_served_byte_for_byte(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_world(tmp_path, miners=0) as world:
        queries = world.machines["validator-0"].node.queries
        assert await queries.answer_genesis(ANYONE, b"") == world.genesis_bytes
