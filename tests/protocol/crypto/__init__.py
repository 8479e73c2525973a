"""Tests of hashes, keys, signatures, proofs and the beacon."""
