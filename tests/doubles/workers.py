"""Devices without torch where tests look for them; they live in the product's simulation."""

from potp2p.simulation.workers import (
    FAR,
    FIRST_LOSS,
    FakeWorkers,
    Garbler,
    payload_of,
    read_weights,
    right_header,
    trace_of,
    write_checkpoint,
)

__all__ = [
    "FAR",
    "FIRST_LOSS",
    "FakeWorkers",
    "Garbler",
    "payload_of",
    "read_weights",
    "right_header",
    "trace_of",
    "write_checkpoint",
]
