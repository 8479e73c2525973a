"""
The bugs of the stock library that our guards exist for, shown without the guards.

When one of these fails, the library has changed: the pinned version and the guard want a look.
"""

import subprocess
import sys
from collections.abc import Iterator

import pytest
import trio
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from multiaddr import Multiaddr

from potp2p.foundation.errors import ConfigurationError
from potp2p.network import library
from potp2p.network.identity import node_id_of
from potp2p.network.ports import StreamProtocol
from potp2p.network.streams import protocol_id
from tests.network.nodes import DEADLINE_SECONDS, attacking, echo, fresh_secret, network
from tests.network.stock_victim import FAILING, stock_host


@pytest.fixture
def stock() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A stock host in a process of its own, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.network.stock_victim"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    yield process, process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()


@pytest.mark.parametrize(
    ("protocol", "message", "error"),
    [
        pytest.param(PROTOCOL_ID_V11, b"\x03\xff\xff\xff", "DecodeError", id="malformed gossip"),
        pytest.param(FAILING, b"x", "RuntimeError", id="failing handler"),
    ],
)
async def test_one_message_ends_a_stock_host(
    stock: tuple[subprocess.Popen[str], str], protocol: str, message: bytes, error: str
) -> None:
    process, address = stock
    async with attacking(address) as attacker:
        stream = await attacker.open(protocol)
        await stream.write(message)
        await attacker.wait_until_disconnected()
    _, talk = await trio.to_thread.run_sync(process.communicate)
    assert process.returncode == 1
    assert error in talk


async def test_stock_multiplexer_and_ours_understand_each_other() -> None:
    ours = network()
    ours.streams.serve(StreamProtocol.HELLO, echo)
    body = bytes(range(256)) * 800
    async with trio.open_nursery() as nursery:
        address = (await nursery.start(ours.run))[0]
        stock = stock_host(fresh_secret())
        async with stock.run([]):
            info = info_from_p2p_addr(Multiaddr(address))
            assert node_id_of(info.peer_id) == ours.node_id
            await stock.connect(info)
            stream = await stock.new_stream(info.peer_id, [protocol_id(StreamProtocol.HELLO)])
            await stream.write(len(body).to_bytes(4, "big") + body)
            received = b""
            with trio.fail_after(DEADLINE_SECONDS):
                while len(received) < len(body) + 5:
                    received += await stream.read(1 << 20)
            assert received == (len(body) + 1).to_bytes(4, "big") + b"\x00" + body
            await stock.close()
        nursery.cancel_scope.cancel()


def test_another_version_of_the_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "LIBRARY_VERSION", "0.9.0")
    with pytest.raises(ConfigurationError, match=r"libp2p 0\.9\.0 is required, found 0\.8\.1"):
        network()
