"""LMDB for chain and state, an append-only journal for votes, files for blobs."""
