"""`potp2p-bootstrap` as its users start it: in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import trio

from potp2p.network.directory import parse_peer_address
from potp2p.network.ports import StreamProtocol
from potp2p.protocol.wire.genesis import (
    ConsensusParameters,
    Genesis,
    MoneyParameters,
    TrainingParameters,
)
from potp2p.protocol.wire.schema import encode
from tests.network.nodes import network, until

SECONDS = 120

GENESIS = Genesis(
    network="test",
    time_milliseconds=0,
    consensus=ConsensusParameters(*range(1, 1 + len(fields(ConsensusParameters)))),
    money=MoneyParameters(*range(1, 1 + len(fields(MoneyParameters)))),
    training=TrainingParameters(*range(1, 1 + len(fields(TrainingParameters)))),
    accounts=(),
    validators=(),
    sponsor=None,
)


def command(*arguments: str) -> list[str]:
    """Return the command line of a bootstrap node."""
    return [sys.executable, "-m", "bootstrap.main", *arguments]


def outcomes(*lines: tuple[str, ...]) -> list[tuple[int, str]]:
    """Run command lines side by side to their ends; return exit codes and stderr."""
    processes = [
        subprocess.Popen(command(*line), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in lines
    ]
    ends = [process.communicate(timeout=SECONDS) for process in processes]
    assert [output for output, _ in ends] == [""] * len(ends)
    codes = [process.returncode for process in processes]
    return list(zip(codes, [talk for _, talk in ends], strict=True))


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, object]]]:
    """A running bootstrap node and the JSON line it printed."""
    process = subprocess.Popen(
        command("--listen", "/ip4/127.0.0.1/tcp/0", "--data-dir", str(tmp_path / "data"), "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    document = json.loads(process.stdout.readline())
    yield process, document
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()


def test_address_is_exact_and_a_node_can_dial_it(
    started: tuple[subprocess.Popen[str], dict[str, object]],
) -> None:
    _, document = started
    assert set(document) == {"listen", "peer_id"}
    listen = document["listen"]
    assert isinstance(listen, list)
    assert listen[0].endswith(f"/p2p/{document['peer_id']}")
    node, _ = parse_peer_address(listen[0])

    async def dial() -> None:
        visitor = network(listen[0])
        async with trio.open_nursery() as nursery:
            await nursery.start(visitor.run)
            await until(lambda: visitor.directory.peers() == (node,))
            nursery.cancel_scope.cancel()

    trio.run(dial)


async def ask_for_genesis(address: str) -> bytes:
    """Dial a bootstrap node as a newcomer does and return its document."""
    node, _ = parse_peer_address(address)
    newcomer = network(address)
    async with trio.open_nursery() as nursery:
        await nursery.start(newcomer.run)
        answer = await newcomer.streams.request(
            node, StreamProtocol.GENESIS, b"", deadline_seconds=SECONDS
        )
        nursery.cancel_scope.cancel()
    return answer


def test_genesis_is_served_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "genesis.cbor"
    path.write_bytes(encode(GENESIS))
    process = subprocess.Popen(
        command(
            *("--listen", "/ip4/127.0.0.1/tcp/0", "--data-dir", str(tmp_path / "data")),
            *("--genesis", str(path)),
        ),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        address = process.stdout.readline().strip()
        assert trio.run(ask_for_genesis, address) == encode(GENESIS)
        process.terminate()
        assert process.wait(timeout=SECONDS) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_cleanly_and_silently(
    started: tuple[subprocess.Popen[str], dict[str, object]], number: signal.Signals
) -> None:
    process, _ = started
    process.send_signal(number)
    assert process.wait(timeout=SECONDS) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_identity_is_private_and_stays_the_same(tmp_path: Path) -> None:
    names = []
    for _ in range(2):
        process = subprocess.Popen(
            command("--listen", "/ip4/127.0.0.1/tcp/0", "--data-dir", str(tmp_path), "--json"),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        names.append(json.loads(process.stdout.readline())["peer_id"])
        process.terminate()
        assert process.wait(timeout=SECONDS) == 0
        process.stdout.close()
    assert names[0] == names[1]
    assert (tmp_path / "identity.key").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["identity.key"]


def test_bad_input_is_one_line_and_its_exit_code(tmp_path: Path) -> None:
    data = ("--data-dir", str(tmp_path / "data"))
    not_genesis = tmp_path / "genesis.cbor"
    not_genesis.write_bytes(b"\x80")
    cases = [
        (("--listen", "nonsense"), 3, "not a multiaddress: 'nonsense'"),
        (("--genesis", str(not_genesis)), 3, "not a genesis document"),
        (("--listen", "/ip4/192.0.2.1/tcp/1"), 1, "cannot listen on /ip4/192.0.2.1/tcp/1"),
    ]
    ended = outcomes(*[(*arguments, *data) for arguments, _, _ in cases], ("--bogus",))
    for (_, code, line), (returned, talk) in zip(cases, ended, strict=False):
        assert (returned, talk.count("\n")) == (code, 1), talk
        assert line in talk
    assert ended[-1][0] == 2


def test_neither_torch_nor_a_database_is_loaded() -> None:
    probe = (
        "import sys, bootstrap.main; "
        "print(sorted({'torch', 'lmdb', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=SECONDS, check=True
    )
    assert finished.stdout == "[]\n"
