"""Frames survive any cutting of the stream, and nothing else passes."""

from dataclasses import dataclass, field

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from libp2p.network.stream.exceptions import StreamEOF

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.network.frames import (
    EndOfStream,
    FrameReader,
    encode_frame,
    encode_refusal,
    encode_reply,
)


@dataclass(slots=True)
class Pieces:
    """A stream that yields given pieces and then its end."""

    pieces: list[bytes]
    written: list[bytes] = field(default_factory=list[bytes])

    async def read(self, n: int | None = None) -> bytes:
        """Return the next piece."""
        if not self.pieces:
            raise StreamEOF
        return self.pieces.pop(0)

    async def write(self, data: bytes) -> None:
        """Keep what is sent."""
        self.written.append(data)


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(1, 50))
def test_frames_arrive_whole_however_the_stream_is_cut(bodies: list[bytes], size: int) -> None:
    encoded = b"".join(map(encode_frame, bodies))
    pieces = [encoded[start : start + size] for start in range(0, len(encoded), size)]

    async def read_all() -> list[bytes]:
        reader = FrameReader(Pieces(pieces))
        received = [await reader.read() for _ in bodies]
        with pytest.raises(EndOfStream):
            await reader.read()
        return received

    assert trio.run(read_all) == bodies


@pytest.mark.parametrize("cut", range(1, 9))
async def test_stream_that_ends_inside_a_frame_is_malformed(cut: int) -> None:
    reader = FrameReader(Pieces([encode_frame(b"hello")[:cut]]))
    with pytest.raises(PeerError) as caught:
        await reader.read()
    assert caught.value.reason is RejectionReason.MALFORMED


async def test_announced_length_is_checked_before_anything_is_read() -> None:
    stream = Pieces([(11).to_bytes(4, "big"), b"never read"])
    with pytest.raises(PeerError) as caught:
        await FrameReader(stream, bytes_max=10).read()
    assert caught.value.reason is RejectionReason.OUT_OF_BOUNDS
    assert stream.pieces == [b"never read"]


async def test_frame_of_exactly_the_bound_passes() -> None:
    assert await FrameReader(Pieces([encode_frame(b"x" * 10)]), bytes_max=10).read() == b"x" * 10


def test_reply_frames_are_frozen() -> None:
    assert encode_reply(b"body") == b"\x00\x00\x00\x05\x00body"
    assert encode_refusal("no") == b"\x00\x00\x00\x03\x01no"
    assert len(encode_refusal("n" * 10_000)) == 4 + 1 + 200
