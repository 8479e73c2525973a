"""What people and their files write: amounts, addresses, ids, keys, settings, task files, JSON."""

import json
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Final

from cli.work.certificate import _read_key
from cli.work.identity import read_chain_id
from cli.work.verify import read_rounds
from potp2p.client.contributions import read_place
from potp2p.client.task_names import read_digits
from potp2p.foundation.amounts import format_amount, parse_amount
from potp2p.foundation.errors import (
    ConfigurationError,
    MissingError,
    OperatingError,
    PeerError,
)
from potp2p.foundation.limits import AMOUNT_BOUND
from potp2p.foundation.types import Amount
from potp2p.network.directory import parse_peer_address
from potp2p.network.identity import peer_name
from potp2p.observability.representation import SCHEMA, decode_document
from potp2p.processes.documents import parse_document
from potp2p.protocol.crypto.bech32 import decode_bech32m, encode_bech32m
from potp2p.protocol.crypto.identity import KeyPair, decode_address, encode_address
from potp2p.protocol.scheduling.task_text import TaskText, parse, render
from potp2p.settings.configuration import (
    Configuration,
    load_configuration,
    render_configuration,
)
from potp2p.settings.keys import load_key
from potp2p.settings.task_file import read_task
from potp2p.workers.devices import parse_devices
from tests.doubles.ledger_world import RULES
from tests.fuzz.mutations import TEXT
from tests.fuzz.targets import Target

TOML_MEMORY_FREE: Final = 16 << 20
TOML_REASON: Final = (
    "the operator's own file, of at most 64 KiB: the standard library's TOML parser keeps several "
    "hundred bytes for each table"
)
JSON_MEMORY_FREE: Final = 64 << 20
JSON_REASON: Final = "printed by a process of ours on this machine, and bounded in size"
TASK: Final = render(TaskText("fuzz", Amount(5 * 10**9), RULES))
SETTINGS: Final = render_configuration(Configuration()).encode()


def text_targets(folder: Path) -> Iterator[Target]:
    """Yield the targets; `folder` is for decoders that insist on a file."""
    refused = (ConfigurationError,)
    yield _text("amount", _amount, refused, lambda random: format_amount(_any_amount(random)))
    yield _text("bech32m", _bech32, (PeerError,), _address)
    yield _text("address", _account, (PeerError,), _address)
    yield _text("task id", read_digits, refused, lambda random: random.randbytes(32).hex())
    unknown = (ConfigurationError, MissingError)
    yield _text("contribution", read_place, unknown, _contribution)
    yield _text("rounds", read_rounds, refused, lambda random: f"{random.randrange(99)}:100")
    yield _text("chain id", read_chain_id, refused, lambda random: random.randbytes(32).hex())
    yield _text("validator key", _read_key, refused, lambda random: random.randbytes(33).hex())
    yield _text("peer address", parse_peer_address, refused, _peer_address)
    yield Target(
        "task file's text",
        lambda encoded: _task(encoded.decode(errors="replace")),
        refused,
        lambda _: TASK.encode(),
        mutators=TEXT,
        memory_free=TOML_MEMORY_FREE,
        memory_reason=TOML_REASON,
    )
    yield Target(
        "task file",
        _from_file(folder / "task.toml", read_task),
        refused,
        lambda _: TASK.encode(),
        mutators=TEXT,
        memory_free=TOML_MEMORY_FREE,
        memory_reason=TOML_REASON,
    )
    yield Target(
        "settings file",
        _from_file(folder / "config.toml", _settings),
        refused,
        lambda _: SETTINGS,
        mutators=TEXT,
        memory_free=TOML_MEMORY_FREE,
        memory_reason=TOML_REASON,
    )
    yield Target(
        "settings in the environment",
        lambda encoded: _environment(folder, encoded),
        refused,
        lambda random: random.choice(
            (b"node__name=rig", b"network__mdns=true", b"miner__min_pay=1.5", b"ui__mode=plain")
        ),
        mutators=TEXT,
    )
    yield Target(
        "key file", _from_file(folder / "key", load_key), refused, _key_file, mutators=TEXT
    )
    yield _json("status document", decode_document, {"schema": SCHEMA, "chain": {"height": 5}})
    yield _json("printed document", lambda encoded: parse_document(encoded, "fuzz"), {"a": [1]})
    yield _json(
        "list of devices", parse_devices, [{"device": "cpu", "name": "x", "memory_bytes": 5}]
    )


def _text(
    name: str,
    decode: Callable[[str], object],
    rejections: tuple[type[Exception], ...],
    seed: Callable[[Random], str],
) -> Target:
    return Target(
        name,
        lambda encoded: decode(encoded.decode(errors="replace")),
        rejections,
        lambda random: seed(random).encode(),
        mutators=TEXT,
    )


def _json(name: str, decode: Callable[[bytes], object], sample: object) -> Target:
    return Target(
        name,
        decode,
        (OperatingError,),
        lambda _: json.dumps(sample).encode(),
        mutators=TEXT,
        memory_free=JSON_MEMORY_FREE,
        memory_reason=JSON_REASON,
    )


def _from_file(path: Path, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    def decode(encoded: bytes) -> object:
        if not path.exists():
            path.touch(mode=0o600)
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(descriptor, encoded)
        finally:
            os.close(descriptor)
        return read(path)

    return decode


def _amount(text: str) -> Amount:
    amount = parse_amount(text)
    assert 0 <= amount < AMOUNT_BOUND
    assert parse_amount(format_amount(amount)) == amount
    assert Decimal(text) * 10**9 == amount
    return amount


def _contribution(random: Random) -> str:
    digits = random.randbytes(32).hex()[: random.randrange(1, 65)]
    return f"{digits}:{random.randrange(1_000)}:{random.randrange(1_000)}"


def _any_amount(random: Random) -> int:
    return random.choice((0, 1, 999_999_999, 10**9, AMOUNT_BOUND - 1, random.randrange(1 << 62)))


def _bech32(text: str) -> tuple[str, bytes]:
    prefix, payload = decode_bech32m(text)
    assert encode_bech32m(prefix, payload) == text.lower()
    return prefix, payload


def _account(text: str) -> bytes:
    account = decode_address(text)
    assert encode_address(account) == text.lower()
    return account


def _address(random: Random) -> str:
    address = KeyPair.from_secret(random.randbytes(32)).address
    return random.choice((address, address.upper(), encode_bech32m("x", random.randbytes(3))))


def _peer_address(random: Random) -> str:
    name = peer_name(KeyPair.from_secret(random.randbytes(32)).node_id)
    return f"/ip4/127.0.0.1/tcp/{random.randrange(70_000)}/p2p/{name}"


def _task(text: str) -> TaskText:
    task = parse(text, "fuzz")
    assert parse(render(task), "fuzz") == task
    return task


def _settings(path: Path) -> Configuration:
    settings = load_configuration(path)
    path.write_text(render_configuration(settings))
    assert load_configuration(path) == settings
    return settings


def _environment(folder: Path, encoded: bytes) -> Configuration:
    name, _, text = encoded.decode(errors="replace").partition("=")
    environment = {f"POTP2P_{name}".upper(): text}
    return load_configuration(folder / "none.toml", environment=environment)


def _key_file(random: Random) -> bytes:
    return random.randbytes(32).hex().encode() + random.choice((b"", b"\n"))
