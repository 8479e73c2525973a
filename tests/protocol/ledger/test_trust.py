"""Every step from a trusted header to another is checked; a forged one is found right there."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import Digest, Epoch, Height, TrustedCheckpoint
from potp2p.protocol.ledger.heights import last_of
from potp2p.protocol.ledger.trust import verify_descent, verify_hash, verify_offer, verify_path
from potp2p.protocol.wire.blocks import Header, Seal
from potp2p.protocol.wire.certificates import EpochLink, ValidatorSet
from potp2p.protocol.wire.snapshots import SnapshotOffer, TrustPath
from tests.doubles.archives import MadeChain, made_chain
from tests.doubles.world import key_of

BLOCKS = 230
OWN = ValidatorSet((key_of("liar").node_id,) * 4)


@pytest.fixture
async def chain() -> MadeChain:
    """Three epochs of a devnet."""
    return await made_chain(BLOCKS)


def header_at(chain: MadeChain, height: int) -> Header:
    """Return a true header."""
    return chain.made[height - 1].block.header


def seal_at(chain: MadeChain, height: int) -> Seal:
    """Return a true seal."""
    return chain.made[height - 1].seal


def checkpoint_at(chain: MadeChain, height: int) -> TrustedCheckpoint:
    """Return what an operator would trust."""
    return TrustedCheckpoint(Height(height), seal_at(chain, height).block_hash)


def path_of(chain: MadeChain, start: int, epochs: range) -> TrustPath:
    """Return the true path from a height over the ends of epochs."""
    seats = ValidatorSet(tuple(each.node for each in chain.genesis.validators))
    ends = [last_of(Epoch(each), chain.genesis.consensus) for each in epochs]
    links = tuple(EpochLink(header_at(chain, at), seal_at(chain, at), seats) for at in ends)
    return TrustPath(header_at(chain, start), seats, links)


def follow(chain: MadeChain, path: TrustPath, start: int, target: int) -> tuple[Header, object]:
    """Check a path."""
    return verify_path(
        path,
        checkpoint_at(chain, start),
        Height(target),
        chain.genesis.consensus,
        chain.maker.ledger.chain_id,
    )


async def test_a_true_path_ends_at_the_last_header_before_the_targets_epoch(
    chain: MadeChain,
) -> None:
    header, seats = follow(chain, path_of(chain, 5, range(2)), 5, 230)
    assert header == header_at(chain, 200)
    assert seats == tuple(each.node for each in chain.genesis.validators)
    same, _ = follow(chain, path_of(chain, 150, range(0)), 150, 180)
    assert same == header_at(chain, 150)


def _change_link(path: TrustPath, change: Callable[[EpochLink], EpochLink]) -> TrustPath:
    return replace(path, links=(change(path.links[0]), *path.links[1:]))


def _other_root(header: Header) -> Header:
    return replace(header, body=replace(header.body, state_root=Digest(b"\x66" * 32)))


LIES: dict[str, Callable[[MadeChain, TrustPath], TrustPath]] = {
    "another header than the trusted": lambda chain, path: replace(
        path, header=header_at(chain, 6)
    ),
    "other seats than the header announces": lambda _, path: replace(path, validators=OWN),
    "other seats than the header announces ": lambda _, path: _change_link(
        path, lambda link: replace(link, validators=OWN)
    ),
    "seal of another header": lambda _, path: _change_link(
        path, lambda link: replace(link, header=_other_root(link.header))
    ),
    "signature": lambda _, path: _change_link(
        path,
        lambda link: replace(
            link,
            seal=replace(
                link.seal,
                signatures=tuple(
                    replace(each, signature=link.seal.signatures[0].signature)
                    for each in link.seal.signatures
                ),
            ),
        ),
    ),
    "seal with 2 signatures": lambda _, path: _change_link(
        path,
        lambda link: replace(link, seal=replace(link.seal, signatures=link.seal.signatures[:2])),
    ),
    "link that does not end the epoch": lambda _, path: replace(path, links=path.links[1:]),
    "link that does not end the epoch ": lambda _, path: replace(
        path, links=(*path.links, path.links[-1])
    ),
    "path that leads nowhere": lambda _, path: replace(path, links=()),
}


@pytest.mark.parametrize("lie", LIES, ids=str)
async def test_a_path_with_one_false_step_is_refused(lie: str, chain: MadeChain) -> None:
    true = path_of(chain, 5, range(2))
    with pytest.raises(PeerError, match=lie.strip()):
        follow(chain, LIES[lie](chain, true), 5, 230)


async def test_an_offer_counts_only_under_the_seal_of_its_own_seats(chain: MadeChain) -> None:
    consensus, chain_id = chain.genesis.consensus, chain.maker.ledger.chain_id
    seats = tuple(each.node for each in chain.genesis.validators)
    true = SnapshotOffer(Digest(bytes(32)), header_at(chain, 200), seal_at(chain, 200))
    verify_offer(true, seats, consensus, chain_id)
    verify_hash(true, checkpoint_at(chain, 200))
    with pytest.raises(PeerError, match="another block than the trusted one"):
        verify_hash(true, checkpoint_at(chain, 199))
    for false in (
        replace(true, seal=seal_at(chain, 199)),
        replace(true, header=_other_root(true.header)),
        replace(true, seal=replace(true.seal, epoch=Epoch(2))),
        replace(true, seal=replace(true.seal, signatures=true.seal.signatures[:2])),
    ):
        with pytest.raises(PeerError):
            verify_offer(false, seats, consensus, chain_id)
    with pytest.raises(PeerError):
        verify_offer(true, OWN.nodes, consensus, chain_id)


async def test_headers_lead_down_from_the_trusted_block_without_a_gap(chain: MadeChain) -> None:
    above = [header_at(chain, height) for height in range(201, 216)]
    verify_descent(header_at(chain, 200), above, checkpoint_at(chain, 215))
    for header, chosen, trusted in (
        (_other_root(header_at(chain, 200)), above, 215),
        (header_at(chain, 200), above[:-1], 215),
        (header_at(chain, 200), above, 214),
        (header_at(chain, 200), [*above[:5], *above[6:]], 215),
        (header_at(chain, 200), [*above[:5], _other_root(above[5]), *above[6:]], 215),
        (header_at(chain, 200), [*above[:-1], _other_root(above[-1])], 215),
    ):
        with pytest.raises(PeerError):
            verify_descent(header, chosen, checkpoint_at(chain, trusted))
