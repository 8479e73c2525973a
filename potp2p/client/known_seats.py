"""
What a client followed before, kept beside its blobs: the seats of every epoch, by their changes.

Without it each command would follow all epochs again. It is as good as the key beside it: whoever
can write here can do worse. A file that is damaged, of another chain or too large counts as none.
"""

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from potp2p.client.light import Trust
from potp2p.foundation.errors import PeerError
from potp2p.foundation.limits import EPOCHS_KNOWN_MAX, SEAT_CHANGES_KEPT_MAX
from potp2p.foundation.types import Epoch, NodeId
from potp2p.protocol.wire.certificates import KnownSeats, SeatRun
from potp2p.protocol.wire.schema import decode_own, encode

FILE: Final = "seats.cbor"
FILE_BYTES_MAX: Final = 16 << 20
"""Four thousand changes of 100 seats."""


def recall(trust: Trust, folder: Path) -> Trust:
    """Return what is known with what an earlier client of the same chain had followed."""
    try:
        with (folder / FILE).open("rb") as file:
            written = file.read(FILE_BYTES_MAX + 1)
        known = decode_own(KnownSeats, written, bytes_max=FILE_BYTES_MAX)
    except (OSError, PeerError):
        return trust
    starts = [run.first for run in known.runs]
    if (
        known.chain_id != trust.chain_id
        or starts[:1] != [0]
        or starts != sorted(set(starts))
        or starts[-1] >= known.epochs
        or known.runs[0].nodes != trust.sets[0]
    ):
        return trust
    sets: list[tuple[NodeId, ...]] = []
    for run, end in zip(known.runs, [*starts[1:], known.epochs], strict=True):
        sets += [run.nodes] * (end - run.first)
    return replace(trust, sets=tuple(sets))


def remember(trust: Trust, folder: Path) -> None:
    """Keep what is known for the next client; a disk that refuses costs only time."""
    changes = [
        SeatRun(Epoch(epoch), after)
        for epoch, (before, after) in enumerate(pairwise(trust.sets), 1)
        if before != after
    ]
    if len(changes) >= SEAT_CHANGES_KEPT_MAX or trust.epochs > EPOCHS_KNOWN_MAX:
        return
    runs = (SeatRun(Epoch(0), trust.sets[0]), *changes)
    written = encode(KnownSeats(trust.chain_id, trust.epochs, runs))
    draft = folder / f".{FILE}.{os.getpid()}"
    try:
        draft.write_bytes(written)
        draft.replace(folder / FILE)
    except OSError:
        draft.unlink(missing_ok=True)
