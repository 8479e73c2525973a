"""Hashes, keys, signatures, Merkle trees and the public beacon."""
