"""Every message that has a wire form, found by walking the modules that use the schema."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from hashlib import sha256
from importlib import import_module
from inspect import getmembers, isclass
from pathlib import Path
from random import Random
from typing import Final, get_args, get_type_hints

from potp2p.client.certificates import verify_certificate_file
from potp2p.foundation.errors import PeerError, UnsafeError
from potp2p.foundation.limits import GOSSIP_BYTES_MAX
from potp2p.foundation.types import ChainId, Digest, NodeId
from potp2p.protocol.ledger.state import decode_record
from potp2p.protocol.ledger.transition import decode_transaction
from potp2p.protocol.ledger.tree import Proof, verify_proof
from potp2p.protocol.wire import schema
from potp2p.protocol.wire.certificates import CertificateFile
from potp2p.protocol.wire.consensus import ConsensusEnvelope, ConsensusFrame, decode_frame
from potp2p.protocol.wire.exchange import TransactionBatch
from potp2p.protocol.wire.manifests import Manifest, blob_id, decode_manifest
from potp2p.protocol.wire.transactions import Transaction
from potp2p.services.consensus_guard import SafetyNote, Signed, decode_note
from potp2p.services.consensus_records import JournalEntry, Record
from potp2p.services.consensus_records import decode_record as decode_journal_record
from tests.fuzz.mutations import CBOR, heavy
from tests.fuzz.targets import Target
from tests.fuzz.values import is_message, value_of

ROOT: Final = Path(__file__).parent.parent.parent
USES_SCHEMA: Final = re.compile(
    r"^from potp2p\.protocol\.wire\.(schema|fields) import", re.MULTILINE
)
ROOT_OF_ANOTHER: Final = Digest(b"\x01" * 32)
JOURNAL_MEMORY_FREE: Final = 160 << 20
CHAIN: Final = ChainId(Digest(sha256(b"fuzz").digest()))


def kinds() -> list[type]:
    """Return every message of the package, wherever it is defined, by its full name."""
    found: dict[str, type] = {}
    for path in sorted((ROOT / "potp2p").rglob("*.py")):
        if USES_SCHEMA.search(path.read_text()) is None:
            continue
        module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for _, kind in getmembers(module, isclass):
            if kind.__module__ == module.__name__ and is_dataclass(kind) and is_message(kind):
                found[name_of(kind)] = kind
    return [found[name] for name in sorted(found)]


def name_of(kind: type) -> str:
    """Return where a message is defined."""
    return f"{kind.__module__.removeprefix('potp2p.')}.{kind.__name__}"


def encoded_value(kind: object, random: Random) -> bytes:
    """Return the bytes of a random valid message; checks that they decode to it."""
    value = value_of(kind, random)
    encoded = schema.encode(value)
    assert schema.decode(type(value), encoded) == value, f"decode(encode(x)) is not x: {value}"
    return encoded


def wire_targets() -> Iterator[Target]:
    """Yield a target for every message, and for every door that does more than decode one."""
    for kind in kinds():
        yield Target(
            name=f"message {name_of(kind)}",
            decode=lambda encoded, kind=kind: schema.decode(kind, encoded),  # type: ignore[misc]
            rejections=(PeerError,),
            seed=lambda random, kind=kind: encoded_value(kind, random),  # type: ignore[misc]
            encode=schema.encode,
            mutators=CBOR,
            heavy=heavy,
        )
    yield from _unions()
    yield _cbor("consensus frame", decode_frame, _frame_seed, _encode_frame)
    yield _cbor("transaction", decode_transaction, _seed_of(Transaction), schema.encode)
    yield _cbor(
        "gossip batch",
        lambda encoded: schema.decode(TransactionBatch, encoded, bytes_max=GOSSIP_BYTES_MAX),
        _seed_of(TransactionBatch),
        schema.encode,
    )
    yield _cbor("manifest of a blob", _decode_manifest, _manifest_seed, schema.encode)
    yield _cbor("state record by its key", _decode_state, _state_seed, _encode_state)
    yield _cbor("proof of a record", _decode_proof, _seed_of(Proof), schema.encode)
    yield _cbor("certificate file", _decode_certificate, _seed_of(CertificateFile), None)
    yield Target(
        name="journal record",
        decode=decode_journal_record,
        rejections=(UnsafeError,),
        seed=_journal_seed,
        encode=lambda record: schema.encode(JournalEntry(record)),  # type: ignore[arg-type]
        mutators=CBOR,
        heavy=heavy,
        memory_free=JOURNAL_MEMORY_FREE,
        memory_reason="our own bytes, under a checksum with a secret salt: not weighed",
    )
    yield Target(
        name="note in the safety record",
        decode=decode_note,
        rejections=(UnsafeError,),
        # Either spelling is read: the first release wrote no silence.
        seed=lambda random: encoded_value(random.choice((SafetyNote, Signed)), random),
        mutators=CBOR,
        heavy=heavy,
    )


def hints_of(kind: type) -> dict[str, object]:
    """Return the annotations of a message's fields, in order."""
    assert is_dataclass(kind)
    hints = get_type_hints(kind, include_extras=True)
    return {each.name: hints[each.name] for each in fields(kind)}


def _unions() -> Iterator[Target]:
    """Yield one target for each choice of a union: random values seldom meet a rare one."""
    for frame in kinds():
        for name, hint in hints_of(frame).items():
            options = [each for each in get_args(hint) if hasattr(each, "KIND")]
            for option in options if len(options) > 1 else ():

                def seed(
                    random: Random, frame: type = frame, name: str = name, option: type = option
                ) -> bytes:
                    hints = hints_of(frame)
                    chosen = {each: option if each == name else hints[each] for each in hints}
                    values = {each: value_of(chosen[each], random) for each in hints}
                    return schema.encode(frame(**values))

                yield Target(
                    name=f"message {name_of(frame)} with {option.__name__}",
                    decode=lambda encoded, frame=frame: schema.decode(  # type: ignore[misc]
                        frame, encoded
                    ),
                    rejections=(PeerError,),
                    seed=seed,
                    encode=schema.encode,
                    mutators=CBOR,
                )


def _cbor(name: str, decode: object, seed: object, encode: object) -> Target:
    return Target(name, decode, (PeerError,), seed, encode, CBOR, heavy)  # type: ignore[arg-type]


def _seed_of(kind: type) -> object:
    return lambda random: encoded_value(kind, random)


def _frame_seed(random: Random) -> bytes:
    return encoded_value(ConsensusEnvelope, random)


def _encode_frame(frame: ConsensusFrame) -> bytes:
    return schema.encode(ConsensusEnvelope(frame))


def _manifest_seed(random: Random) -> bytes:
    chunks = random.randrange(4)
    size = max(0, chunks * (1 << 20) - random.randrange(1 << 20)) if chunks else 0
    return schema.encode(Manifest(size, random.randbytes(32 * chunks)))


def _decode_manifest(encoded: bytes) -> Manifest:
    """Half of all inputs carry the right id, as if a client had announced garbage."""
    try:
        expected = blob_id(schema.decode(Manifest, encoded))
    except PeerError:
        expected = blob_id(Manifest(0, b""))
    manifest = decode_manifest(encoded, expected)
    assert all(0 < manifest.chunk_bytes(index) <= 1 << 20 for index in range(manifest.chunks))
    return manifest


def _state_seed(random: Random) -> bytes:
    from potp2p.protocol.ledger.state import _KINDS  # noqa: PLC0415  # what a key's prefix means

    prefix = random.choice(sorted(_KINDS))
    return prefix + encoded_value(_KINDS[prefix], random)


def _decode_state(encoded: bytes) -> tuple[bytes, object]:
    return encoded[:1], decode_record(encoded[:1], encoded[1:])


def _encode_state(found: tuple[bytes, object]) -> bytes:
    return found[0] + schema.encode(found[1])


def _decode_proof(encoded: bytes) -> Proof:
    proof = schema.decode(Proof, encoded)
    for value in (None, b"value"):
        try:
            verify_proof(ROOT_OF_ANOTHER, b"key", value, proof)
        except PeerError:
            continue
        raise AssertionError("a made-up proof leads to that root")
    return proof


def _decode_certificate(encoded: bytes) -> object:
    return verify_certificate_file(encoded, CHAIN, (NodeId(b"\x02" + bytes(32)),) * 4)


def _journal_seed(random: Random) -> bytes:
    option = random.choice(get_args(Record))
    return schema.encode(JournalEntry(value_of(option, random)))  # type: ignore[arg-type]
