"""What a client remembers of the seats: whole, of its own chain, or nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from potp2p.client.known_seats import FILE, recall, remember
from potp2p.client.light import Trust
from potp2p.foundation.types import ChainId, Epoch, NodeId
from potp2p.protocol.crypto.hashing import sha256
from potp2p.protocol.ledger.genesis import DEVNET_CONSENSUS
from potp2p.protocol.wire.certificates import KnownSeats, SeatRun
from potp2p.protocol.wire.schema import encode

A, B, C = (NodeId(b"\x02" + bytes([each]) * 32) for each in (1, 2, 3))
CHAIN = ChainId(sha256(b"chain"))
FIRST = Trust(CHAIN, DEVNET_CONSENSUS, ((A, B),))


@pytest.mark.parametrize(
    "sets",
    [
        ((A, B),),
        ((A, B), (A, B), (A, B)),
        ((A, B), (A, C), (A, C), (A, B)),
        ((A, B), (B, A), (A, B), (A, B, C)),
    ],
)
def test_what_was_followed_is_known_again(
    sets: tuple[tuple[NodeId, ...], ...], tmp_path: Path
) -> None:
    known = replace(FIRST, sets=sets)
    remember(known, tmp_path)
    assert recall(FIRST, tmp_path) == known
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_file_that_does_not_fit_counts_as_none(tmp_path: Path) -> None:
    def run(first: int, *nodes: NodeId) -> SeatRun:
        return SeatRun(Epoch(first), nodes)

    other = ChainId(sha256(b"other"))
    for written in (
        b"",
        b"rubbish",
        encode(KnownSeats(other, 2, (run(0, A, B), run(1, A, C)))),
        encode(KnownSeats(CHAIN, 2, ())),
        encode(KnownSeats(CHAIN, 2, (run(1, A, B),))),
        encode(KnownSeats(CHAIN, 2, (run(0, C, B), run(1, A, C)))),
        encode(KnownSeats(CHAIN, 1, (run(0, A, B), run(1, A, C)))),
        encode(KnownSeats(CHAIN, 3, (run(0, A, B), run(2, A, C), run(1, A, C)))),
        encode(KnownSeats(CHAIN, 3, (run(0, A, B), run(1, A, C), run(1, A, B)))),
    ):
        (tmp_path / FILE).write_bytes(written)
        assert recall(FIRST, tmp_path) == FIRST
    assert recall(FIRST, tmp_path / "nowhere") == FIRST
    remember(FIRST, tmp_path / "nowhere")
