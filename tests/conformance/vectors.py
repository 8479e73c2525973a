"""The file of vectors: what is in it, and what should be."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Final

from potp2p.protocol.wire.schema import encode
from tests.conformance.samples import messages, values

FILE: Final = Path(__file__).parent / "vectors.json"
SHOWN_BYTES_MAX: Final = 160
"""Longer vectors are kept as size and SHA-256 alone."""


def entry_of(encoded: bytes) -> dict[str, object]:
    """Return what the file keeps of some bytes."""
    if len(encoded) <= SHOWN_BYTES_MAX:
        return {"bytes": encoded.hex()}
    return {"size": len(encoded), "sha256": sha256(encoded).hexdigest()}


def vectors() -> dict[str, dict[str, object]]:
    """Return every vector as the present code makes it."""
    found = {name: entry_of(encode(message)) for name, message in messages()}
    found.update({f"value/{name}": entry_of(encoded) for name, encoded in values()})
    return found


def stored() -> dict[str, dict[str, object]]:
    """Return the approved vectors."""
    content: dict[str, dict[str, object]] = json.loads(FILE.read_text())
    return content
