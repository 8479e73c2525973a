"""
Length-prefixed frames on a stream: four bytes of big-endian length, then the body.

A reply frame starts with one status byte. A killed peer looks like a clean end of stream
(reference network.md, trap 12), so only a frame that arrived whole counts.
"""

from dataclasses import dataclass, field
from typing import Final, Protocol

from libp2p.network.stream.exceptions import StreamEOF

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import MESSAGE_BYTES_MAX

LENGTH_BYTES: Final = 4
REPLY_BYTES_MAX: Final = MESSAGE_BYTES_MAX + 1
"""A reply is a body of the largest size behind its status byte."""
READ_BYTES: Final = 64 * 1024
"""One read takes what a Yamux frame may hold at most."""
STATUS_OK: Final = 0
STATUS_REFUSED: Final = 1
REFUSAL_CHARACTERS_MAX: Final = 200


class ByteStream(Protocol):
    """The part of a library stream that frames need."""

    async def read(self, n: int | None = None) -> bytes:
        """Return some bytes, or raise or return nothing at the end."""

    async def write(self, data: bytes) -> None:
        """Send all bytes."""


class EndOfStream(Exception):
    """The stream ended between two frames."""


@dataclass(slots=True)
class FrameReader:
    """Reads frames from one stream, buffering what came along."""

    stream: ByteStream
    bytes_max: int = MESSAGE_BYTES_MAX
    _buffer: bytearray = field(default_factory=bytearray)

    async def read(self) -> bytes:
        """
        Return the next frame's body.

        EndOfStream when the peer ended the stream before a frame; PeerError when it announced a
        frame beyond the bound or ended the stream inside one.
        """
        await self._fill(LENGTH_BYTES)
        length = int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
        if length > self.bytes_max:
            raise PeerError(
                RejectionReason.OUT_OF_BOUNDS, f"frame of {length} bytes, at most {self.bytes_max}"
            )
        await self._fill(LENGTH_BYTES + length)
        body = bytes(self._buffer[LENGTH_BYTES : LENGTH_BYTES + length])
        del self._buffer[: LENGTH_BYTES + length]
        return body

    async def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            try:
                received = await self.stream.read(READ_BYTES)
            except StreamEOF:
                received = b""
            if not received:
                if self._buffer:
                    raise PeerError(RejectionReason.MALFORMED, "stream ended inside a frame")
                raise EndOfStream
            self._buffer += received


def encode_frame(body: bytes) -> bytes:
    """Return a body behind its length."""
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def encode_reply(body: bytes) -> bytes:
    """Return the frame of a good answer."""
    return encode_frame(bytes((STATUS_OK,)) + body)


def encode_refusal(reason: str) -> bytes:
    """Return the frame of a refusal with its reason."""
    text = reason[:REFUSAL_CHARACTERS_MAX].encode()
    return encode_frame(bytes((STATUS_REFUSED,)) + text)
