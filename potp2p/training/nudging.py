"""
How far a rounding grows in a lease: an auditor replays it again from weights nudged by as much.

A payload that lies far from a replay proves nothing where training is chaotic: honest machines
round differently, and there a rounding grows by orders of magnitude within one lease. The
calibration of a task runs on its first weights and cannot see it. So whoever finds a payload
further off than its own replays may lie apart measures that too. One unit in the last place grows
to what separates instruction sets (GPT-2, 20 local steps): at a rate of 7e-3 to 1.4 to 4.1 %
against 0.2 to 5.2 %, at half of it to 1 to 3 ppm against 1 to 6. Floats as in `replay.py`; suffixes
as in `layout.py`.
"""

from dataclasses import replace
from hashlib import sha256
from typing import Final

import numpy as np

from potp2p.foundation.types import Digest, PartsPerMillion
from potp2p.protocol.verification.tolerance import LOSS_FLOOR, NORM_FLOOR, Tolerance
from potp2p.protocol.verification.verdict import PPM, relative
from potp2p.protocol.wire.verification import Distances, Instability, Trace
from potp2p.training.checkpoint import Checkpoint
from potp2p.training.commands import Lease
from potp2p.training.compression import d8
from potp2p.training.fixed_point import PPM_MAX
from potp2p.training.layout import Layout
from potp2p.training.replay import measure
from potp2p.training.step import Work
from potp2p.training.tensors import Float32

NUDGE: Final = np.float32(2**-23)
"""Relative: one unit in the last place of a float32, as an operation done in another order."""
SIGNS_PER_DIGEST: Final = 256


def nudge(checkpoint: Checkpoint, seed: Digest) -> Checkpoint:
    """Return the weights with a rounding added to or taken from each, the same on every machine."""
    signs_P = _signs(seed, checkpoint.theta_P.size)
    return replace(checkpoint, theta_P=checkpoint.theta_P + checkpoint.theta_P * (signs_P * NUDGE))


def _signs(seed: Digest, count: int) -> Float32:
    """Return +1 or -1 by the bits of SHA-256(seed || counter)."""
    digests = -(-count // SIGNS_PER_DIGEST)
    stream = b"".join(sha256(seed + i.to_bytes(8, "big")).digest() for i in range(digests))
    bits = np.unpackbits(np.frombuffer(stream, np.uint8), count=count)
    return bits.astype(np.float32) * 2 - 1


def is_near(distances: Distances, tolerance: Tolerance) -> bool:
    """Tell whether a payload lies so near that instability could not matter to its verdict."""
    return (
        distances.exponents_fit
        and distances.overall * PPM <= tolerance.overall * tolerance.unstable
        and distances.tensor_max * PPM <= tolerance.tensor * tolerance.unstable
    )


def apart(
    layout: Layout, lease: Lease, works: tuple[Work, Work], tolerance: Tolerance
) -> Instability:
    """Compare two replays as a payload is compared with one, and their traces."""
    first, again = works
    encoded = d8.encode(lease, layout, again.update_P, again.buffers_B)
    distances = measure(layout, d8.decode(encoded, layout), first, tolerance)
    return Instability(distances, parts_apart(again.trace, first.trace))


def parts_apart(one: Trace, other: Trace) -> PartsPerMillion:
    """Return the largest relative difference of two traces of one lease, in ppm."""
    pairs = list(zip(one.entries, other.entries, strict=True))
    losses = [relative(a.loss, b.loss, LOSS_FLOOR) for a, b in pairs]
    norms = [relative(a.gradient_norm, b.gradient_norm, NORM_FLOOR) for a, b in pairs]
    return PartsPerMillion(min(PPM_MAX, max((*losses, *norms), default=0)))
