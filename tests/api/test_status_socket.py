"""The status socket, on a real socket in a temporary folder."""

import socket
import stat
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from potp2p.api.status_address import socket_address
from potp2p.api.status_client import read_status
from potp2p.api.status_socket import serve_status
from potp2p.foundation.errors import ConfigurationError, UnreachableError
from potp2p.foundation.limits import STATUS_CONNECTIONS_MAX
from potp2p.observability.representation import encode_status
from tests.doubles.status import miner_status

DOCUMENT = encode_status(miner_status())


async def read(path: Path) -> bytes:
    return await trio.to_thread.run_sync(read_status, path, 60)


async def test_each_connection_gets_the_present_status(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    path = tmp_path / "status.sock"
    await nursery.start(serve_status, path, miner_status)

    assert [await read(path), await read(path)] == [DOCUMENT, DOCUMENT]


async def test_only_the_owner_may_connect(tmp_path: Path, nursery: trio.Nursery) -> None:
    path = tmp_path / "status.sock"
    await nursery.start(serve_status, path, miner_status)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_socket_is_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "status.sock"
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_status, path, miner_status)
        nursery.cancel_scope.cancel()

    assert not path.exists()


async def test_socket_of_a_killed_node_is_replaced(tmp_path: Path, nursery: trio.Nursery) -> None:
    path = tmp_path / "status.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))

    await nursery.start(serve_status, path, miner_status)

    assert await read(path) == DOCUMENT


async def test_file_in_the_way_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "status.sock"
    path.write_text("mine")

    with pytest.raises(ConfigurationError):
        await serve_status(path, miner_status)

    assert path.read_text() == "mine"


async def test_long_data_folder_still_has_its_socket(tmp_path: Path, nursery: trio.Nursery) -> None:
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    path = folder / "status.sock"
    await nursery.start(serve_status, path, miner_status)

    assert await read(path) == DOCUMENT


async def test_talking_reader_changes_nothing(tmp_path: Path, nursery: trio.Nursery) -> None:
    path = tmp_path / "status.sock"
    await nursery.start(serve_status, path, miner_status)

    async with await trio.open_unix_socket(str(path)) as stream:
        await stream.send_all(b"stop " * 1000)

    assert await read(path) == DOCUMENT


async def test_readers_beyond_the_limit_are_turned_away_and_no_more(
    tmp_path: Path, mock_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    # Time stands still, else a slow machine cuts the first readers off before the last one asks.
    path = tmp_path / "status.sock"
    asked = 0
    large = miner_status(leases=20_000)

    def snapshot() -> object:
        nonlocal asked
        asked += 1
        return large

    await nursery.start(partial(serve_status, path, snapshot))  # type: ignore[arg-type]
    with socket_address(path) as address:
        # Their buffers are too small for the document, so every reader keeps its place.
        streams = [await trio.open_unix_socket(address) for _ in range(STATUS_CONNECTIONS_MAX)]
        for _ in range(200):
            if asked == STATUS_CONNECTIONS_MAX:
                break
            await trio.testing.wait_all_tasks_blocked(0.001)
        async with await trio.open_unix_socket(address) as one_more:
            assert await one_more.receive_some() == b""
        for stream in streams:
            await stream.aclose()

    assert asked == STATUS_CONNECTIONS_MAX


def test_no_node_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError) as caught:
        read_status(tmp_path / "status.sock", 1)

    assert str(caught.value) == f"no running node answers at {tmp_path / 'status.sock'}"


def test_silent_node_is_unreachable_in_time(tmp_path: Path) -> None:
    path = tmp_path / "status.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()

        with pytest.raises(UnreachableError):
            read_status(path, 0.05)
