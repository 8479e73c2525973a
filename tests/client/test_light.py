"""A client believes a record with a proof under a quorum's seal, and nothing else."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from trio.testing import MockClock

from potp2p.client.certificates import verify_certificate_file, verify_from_genesis
from potp2p.client.light import Trust, trust_in, verify_reply
from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import POT, Amount, ChainId, Digest, Epoch, Height, View
from potp2p.protocol.ledger.keys import account_key, chain_key
from potp2p.protocol.ledger.records import Account
from potp2p.protocol.ledger.seats import validators_hash
from potp2p.protocol.wire.blocks import Block, Seal
from potp2p.protocol.wire.certificates import (
    CertificateFile,
    EpochLink,
    EpochsReply,
    EpochsRequest,
    ValidatorSet,
)
from potp2p.protocol.wire.codec import encode_array
from potp2p.protocol.wire.exchange import QueryReply, QueryRequest, Role
from potp2p.protocol.wire.schema import decode, encode
from potp2p.simulation.genesis import first_state, short_lived
from tests.doubles.world import CLIENT_MONEY, FEE, World, key_of, open_world

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
            verify_reply(replace(trust, chain_id=ChainId(bytes(32))), CLIENT, true)
        with pytest.raises(PeerError):
            verify_reply(replace(trust, sets=(trust.validators[::-1],)), CLIENT, true)


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


# Seats that change


FIFTH = key_of("validator-4")
HISTORY = 32
"""Three epochs of ten blocks, and the first blocks of the fourth."""


@asynccontextmanager
async def grown(folder: Path) -> AsyncIterator[World]:
    """A network that got a fifth validator in its second or third epoch, and then stood still."""

    async with open_world(folder, miners=0, change=short_lived) as world:
        world.add("validator-4", Role.VALIDATOR)
        await world.height(1)
        client = world.client()
        await client.bond(FIFTH.account, Amount(500 * POT), FEE)
        await world.height(HISTORY)
        world.freeze()
        yield world


async def links_of(world: World, first: int = 0, count: int = 64) -> tuple[EpochLink, ...]:
    """Return what a validator shows of the ends of epochs."""
    queries = world.machines["validator-0"].node.queries
    request = encode(EpochsRequest(Epoch(first), count))
    return decode(EpochsReply, await queries.answer_epochs(ANYONE, request)).links


def is_followed(trust: Trust, links: Sequence[EpochLink]) -> bool:
    """Tell whether a client believes the ends of epochs."""
    try:
        trust.follow(links)
    except PeerError:
        return False
    return True


async def test_every_header_is_checked_with_the_seats_of_its_epoch_and_no_others(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with grown(tmp_path) as world:
        first, _ = trust_in(world.genesis_bytes)
        links = await links_of(world)
        trust = first.follow(links)
        assert [len(each) for each in trust.sets] in ([4, 5, 5, 5], [4, 4, 5, 5])
        store = world.machines["validator-0"].store
        for height in range(1, HISTORY + 1):
            stored = store.block(Height(height))
            assert stored is not None
            header, seal = decode(Block, stored[0]).header, decode(Seal, stored[1])
            trust.verify_header(header, seal)
            if len(trust.validators_of(header.body.epoch)) == 5:
                # Enough for the four of before, too few for the five of its own epoch.
                with pytest.raises(PeerError, match="seal with 3"):
                    trust.verify_header(header, replace(seal, signatures=seal.signatures[:3]))
            with pytest.raises(PeerError):
                trust.verify_header(header, replace(seal, epoch=Epoch(seal.epoch + 1)))
        newest = store.block(Height(HISTORY))
        assert newest is not None
        with pytest.raises(PeerError, match="not known"):
            first.verify_header(decode(Block, newest[0]).header, decode(Seal, newest[1]))


async def test_forged_ends_of_epochs_are_refused(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with grown(tmp_path) as world:
        first, _ = trust_in(world.genesis_bytes)
        links = await links_of(world)
        one, two = links[0], links[1]
        strangers = ValidatorSet(tuple(key_of(f"x{each}").node_id for each in range(4)))
        lower = world.machines["validator-0"].store.block(Height(9))
        assert lower is not None
        own_seats = ValidatorSet(first.validators)
        ninth = EpochLink(decode(Block, lower[0]).header, decode(Seal, lower[1]), own_seats)
        thin = replace(one.seal, signatures=one.seal.signatures[:2])
        body = replace(one.header.body, next_validators_hash=validators_hash(strangers.nodes))
        own = replace(one.header, body=body)
        forgeries: dict[str, tuple[EpochLink, ...]] = {
            "other seats": (replace(one, validators=strangers),),
            "seats in another order": (
                replace(one, validators=ValidatorSet(one.validators.nodes[::-1])),
            ),
            "an own header": (replace(one, header=own, validators=strangers),),
            "too few signers": (replace(one, seal=thin),),
            "the seal of another epoch's end": (replace(one, seal=two.seal),),
            "a header in the middle of the epoch": (ninth,),
            "an epoch left out": (two,),
            "an epoch twice": (one, one),
        }
        assert is_followed(first, links)
        for name, forged in forgeries.items():
            assert not is_followed(first, forged), name


async def test_what_is_asked_for_beyond_the_chain_is_not_there(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with grown(tmp_path) as world:
        assert len(await links_of(world)) == 3
        assert len(await links_of(world, first=1, count=1)) == 1
        assert await links_of(world, first=3) == ()
        assert await links_of(world, first=(1 << 48) - 1) == ()
        queries = world.machines["validator-0"].node.queries
        with pytest.raises(PeerError):
            await queries.answer_epochs(ANYONE, encode_array([0, 65]))


async def test_a_client_of_the_first_epoch_follows_the_seats_and_believes_what_they_seal(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    rig = key_of("miner-0")
    async with open_world(tmp_path, validators=0, miners=0, seats=4, change=short_lived) as world:
        world.first = first_state(world.genesis_bytes, [rig.node_id])
        for index in range(5):
            world.add(f"validator-{index}", Role.VALIDATOR)
        world.add("miner-0", Role.MINER)
        await world.height(1)
        client = world.client()
        await client.bond(FIFTH.account, Amount(500 * POT), FEE)
        assert client.trust.epochs == 1
        await world.until(
            lambda: len(world.machines["validator-0"].node.chain.head_validators) == 5
        )
        proved = await client.query(account_key(FIFTH.account))
        assert decode(Account, proved.value or b"").bond == 500 * POT
        assert len(client.validators) == 5
        height = proved.header.body.height
        encoded = await client.certificate(height)
        genesis_alone, _ = trust_in(world.genesis_bytes)
        found = verify_from_genesis(encoded, genesis_alone)
        assert (found.height, found.ranking) == (height, (rig.node_id,))
        bare = encode(replace(decode(CertificateFile, encoded), links=()))
        keys = client.trust.validators_of(decode(CertificateFile, encoded).header.body.epoch)
        assert verify_certificate_file(bare, client.trust.chain_id, keys) == found
        with pytest.raises(PeerError, match="not known"):
            verify_from_genesis(bare, genesis_alone)
        with pytest.raises(PeerError):
            verify_certificate_file(bare, client.trust.chain_id, client.trust.sets[0])
