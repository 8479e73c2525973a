"""The memory stores where tests look for them; they live in the product's simulation."""

from potp2p.simulation.stores import (
    FolderBlobStore,
    FolderPartial,
    MemoryChainStore,
    MemoryNotebook,
    manifest_of,
)

__all__ = [
    "FolderBlobStore",
    "FolderPartial",
    "MemoryChainStore",
    "MemoryNotebook",
    "manifest_of",
]
