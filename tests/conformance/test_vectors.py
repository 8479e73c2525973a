"""Every message, record, draw and root has the bytes that were approved."""

from dataclasses import is_dataclass

import pytest

from potp2p.foundation.errors import PeerError
from potp2p.protocol.ledger.state import _KINDS
from potp2p.protocol.wire.schema import decode, encode
from tests.conformance.samples import MODULES, kinds_of, messages, name_of
from tests.conformance.vectors import stored, vectors

STORED = stored()
MESSAGES = dict(messages())


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, object]]:
    return vectors()


@pytest.mark.parametrize("name", sorted(STORED))
def test_bytes_are_those_that_were_approved(name: str, made: dict[str, dict[str, object]]) -> None:
    assert made.get(name) == STORED[name]


def test_nothing_is_without_a_vector(made: dict[str, dict[str, object]]) -> None:
    assert sorted(made.keys() - STORED.keys()) == []


def test_every_kind_of_record_has_a_vector() -> None:
    named = {name.rsplit("/", 1)[0] for name in STORED}
    assert {name_of(kind) for kind in _KINDS.values()} <= named
    assert {name_of(kind) for module in MODULES for kind in kinds_of(module)} <= named


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_sample_survives_its_encoding_and_no_cut_or_longer_one_does(name: str) -> None:
    message = MESSAGES[name]
    assert is_dataclass(message)
    encoded = encode(message)
    assert decode(type(message), encoded) == message
    for broken in (encoded[:-1], encoded + b"\x00", b"", b"\x9f" + encoded[1:]):
        with pytest.raises(PeerError):
            decode(type(message), broken)
