"""The tables of the database and how their keys are written."""

from enum import StrEnum, unique

from potp2p.foundation.types import Height

HEIGHT_BYTES = 8


@unique
class Table(StrEnum):
    """One named LMDB database; keys sort as bytes."""

    METADATA = "metadata"
    """Name to value: the head, and what is kept beside the chain."""
    BLOCKS = "blocks"
    """Height to encoded block."""
    SEALS = "seals"
    """Height to encoded seal."""
    RECEIPTS = "receipts"
    """Height to the array of receipts of its execution."""
    TRANSACTIONS = "transactions"
    """Transaction id to height."""
    STATE = "state"
    """State key to record, at the head."""
    NODES = "nodes"
    """Path to node of the authenticated map, at the head."""
    NOTES = "notes"
    """Private notes of this node; no other node has or needs them."""


def height_key(height: Height) -> bytes:
    """Return a key whose byte order is the order of heights."""
    return height.to_bytes(HEIGHT_BYTES, "big")


def height_from_key(key: bytes) -> Height:
    """Return the height that a key or value stands for."""
    return Height(int.from_bytes(key, "big"))
