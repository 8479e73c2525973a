"""A certificate's file, offline: from an epoch's keys alone, and with any field changed refused."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace

import pytest

from potp2p.client.certificates import VerifiedCertificate, verify_certificate_file
from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import (
    Amount,
    ChainId,
    Cycle,
    Digest,
    Epoch,
    Height,
    NodeId,
    Rank,
    Signature,
    ValidatorIndex,
    View,
)
from potp2p.protocol.crypto.hashing import sha256, tagged_hash
from potp2p.protocol.crypto.signing import sign
from potp2p.protocol.incentives.lottery import draw_miners, prove_ranking, ranking_of
from potp2p.protocol.incentives.weights import total_weight, weights_root
from potp2p.protocol.ledger.validity import block_hash
from potp2p.protocol.wire.blocks import (
    BLOCK_VERSION,
    COMMIT_DOMAIN,
    BlockBody,
    CommitSignature,
    CommitStatement,
    Frame,
    Header,
    Seal,
)
from potp2p.protocol.wire.certificates import CERTIFICATE_DOMAIN, Certificate, CertificateFile
from potp2p.protocol.wire.schema import encode
from tests.doubles.ledger_world import key_pair

CHAIN = ChainId(sha256(b"certificates"))
SEATS = tuple(key_pair(f"seat {index}") for index in range(4))
NODES = tuple(each.node_id for each in SEATS)
HEIGHT, EPOCH = Height(41), Epoch(3)
BEACON = sha256(b"beacon")
MINERS = sorted(
    (key_pair(f"rig {index}").node_id, Amount(weight))
    for index, weight in enumerate((5, 40, 9, 1, 17))
)
EXPECTED = {
    RejectionReason.BAD_JUSTIFICATION,
    RejectionReason.BAD_PROOF,
    RejectionReason.BAD_SIGNATURE,
    RejectionReason.OUT_OF_BOUNDS,
}


def certificate(barred: frozenset[NodeId] = frozenset()) -> Certificate:
    drawn = draw_miners(BEACON, HEIGHT, MINERS, barred)
    return Certificate(
        chain_id=CHAIN,
        cycle=Cycle(7),
        height=HEIGHT,
        ranking=ranking_of(drawn, MINERS, barred),
        weights_root=weights_root(MINERS),
        total_weight=total_weight(MINERS),
        beacon=BEACON,
    )


def header(proved: Certificate, author: NodeId, rank: int = 0) -> Header:
    body = BlockBody(
        version=BLOCK_VERSION,
        height=HEIGHT,
        previous_hash=sha256(b"parent"),
        previous_seal_hash=sha256(b"seal"),
        epoch=EPOCH,
        cycle=proved.cycle,
        author=author,
        rank=Rank(rank),
        transactions_root=sha256(b"transactions"),
        state_root=sha256(b"state"),
        next_validators_hash=sha256(b"next"),
        certificate_hash=tagged_hash(CERTIFICATE_DOMAIN, encode(proved)),
        time_milliseconds=1,
    )
    frame = Frame(ValidatorIndex(1), View(0), sha256(b"reveal"))
    return Header(body, Signature(bytes(64)), frame)


def seal(sealed: Header, signers: tuple[int, ...] = (0, 1, 3)) -> Seal:
    digest = block_hash(sealed)
    return Seal(
        EPOCH,
        HEIGHT,
        View(0),
        digest,
        tuple(
            CommitSignature(
                ValidatorIndex(index),
                sign(
                    SEATS[index],
                    COMMIT_DOMAIN,
                    CHAIN,
                    encode(CommitStatement(EPOCH, HEIGHT, View(0), ValidatorIndex(index), digest)),
                ),
            )
            for index in signers
        ),
    )


def export(barred: frozenset[NodeId] = frozenset()) -> CertificateFile:
    proved = certificate(barred)
    sealed = header(proved, proved.ranking[0])
    return CertificateFile(proved, sealed, seal(sealed), prove_ranking(proved, MINERS), ())


def verified(file: CertificateFile) -> VerifiedCertificate:
    return verify_certificate_file(encode(file), CHAIN, NODES)


def refusal(file: CertificateFile) -> RejectionReason | None:
    try:
        verified(file)
    except PeerError as error:
        return error.reason
    return None


def altered(value: object, path: str = "file") -> Iterator[tuple[str, object]]:
    """Yield a value with one field of it changed, for every field however deep it lies."""
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            inner = getattr(value, field.name)
            for name, other in altered(inner, f"{path}.{field.name}"):
                yield name, replace(value, **{field.name: other})
    elif isinstance(value, tuple):
        if value:
            yield f"{path} cut", value[:-1]
            yield f"{path} again", (*value, value[-1])
        if len(value) > 1:
            yield f"{path} swapped", (value[1], value[0], *value[2:])
        for index, each in enumerate(value):
            for name, other in altered(each, f"{path}[{index}]"):
                yield name, (*value[:index], other, *value[index + 1 :])
    elif isinstance(value, bool):
        yield path, not value
    elif isinstance(value, int):
        yield path, value + 1 if value == 0 else value - 1
    elif isinstance(value, bytes) and value:
        yield path, type(value)(bytes([*value[:-1], value[-1] ^ 1]))


def test_the_ranking_is_redone_from_the_file_and_its_epochs_keys_alone() -> None:
    shown = verified(export())
    assert len(shown.ranking) == 3
    assert shown == VerifiedCertificate(
        cycle=7,
        height=HEIGHT,
        ranking=certificate().ranking,
        author=certificate().ranking[0],
        rank=0,
        total_weight=72,
        signers=3,
    )


def test_a_file_with_any_field_changed_is_refused_by_name() -> None:
    whole, seen = export(), 0
    for name, file in altered(whole):
        if name.startswith("file.links"):
            continue
        assert isinstance(file, CertificateFile)
        assert refusal(file) in EXPECTED, name
        seen += 1
    assert seen > 80, "every field of certificate, header, seal and draws"


def test_who_lost_its_rank_is_drawn_and_stands_nowhere() -> None:
    first = certificate().ranking[0]
    file = export(frozenset({first}))
    assert first in {each.miner for each in file.draw.draws}
    assert first not in verified(file).ranking


def test_a_seal_of_other_keys_or_too_few_is_refused() -> None:
    file = export()
    others = tuple(key_pair(f"other {index}").node_id for index in range(4))
    with pytest.raises(PeerError, match="bad_signature"):
        verify_certificate_file(encode(file), CHAIN, others)
    few = replace(file, seal=seal(file.header, (0, 1)))
    assert refusal(few) is RejectionReason.BAD_JUSTIFICATION
    with pytest.raises(PeerError, match="bad_signature"):
        verify_certificate_file(encode(file), ChainId(sha256(b"another")), NODES)


def test_an_author_of_another_rank_is_refused_even_under_a_true_seal() -> None:
    proved = certificate()
    for author, rank in ((proved.ranking[1], 0), (NODES[0], 2)):
        sealed = header(proved, author, rank)
        file = CertificateFile(proved, sealed, seal(sealed), prove_ranking(proved, MINERS), ())
        assert refusal(file) is RejectionReason.BAD_PROOF


def test_a_primarys_own_block_has_a_ranking_and_no_ranked_author() -> None:
    proved = certificate()
    sealed = header(proved, NODES[1], 255)
    file = CertificateFile(proved, sealed, seal(sealed), prove_ranking(proved, MINERS), ())
    assert (verified(file).rank, verified(file).author) == (None, NODES[1])


def test_bytes_that_are_no_file_are_malformed() -> None:
    whole = encode(export())
    for broken in (b"", whole[:-1], whole + b"\x00", Digest(bytes(32))):
        with pytest.raises(PeerError, match="malformed"):
            verify_certificate_file(broken, CHAIN, NODES)
