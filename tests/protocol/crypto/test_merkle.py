"""Merkle trees against the vectors of certificate transparency, and against forged proofs."""

from dataclasses import replace
from hashlib import sha256

import pytest

from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import Digest
from potp2p.protocol.crypto.merkle import (
    MerkleProof,
    leaf_hash,
    merkle_proof,
    merkle_root,
    node_hash,
    verify_merkle_proof,
)

LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("count", range(9))
def test_root_is_that_of_rfc_6962(count: int) -> None:
    assert merkle_root(LEAVES[:count]).hex() == ROOTS[count]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 31, 64, 100])
def test_every_leaf_has_a_proof_and_no_other_leaf_passes_with_it(count: int) -> None:
    leaves = [sha256(bytes([number])).digest() for number in range(count)]
    root = merkle_root(leaves)

    for index, leaf in enumerate(leaves):
        proof = merkle_proof(leaves, index)
        verify_merkle_proof(root, leaf, proof)
        with pytest.raises(PeerError, match="bad_proof"):
            verify_merkle_proof(root, b"stranger", proof)


@pytest.mark.parametrize(
    "forge",
    [
        lambda proof: replace(proof, index=3),
        lambda proof: replace(proof, index=-1),
        lambda proof: replace(proof, index=6),
        lambda proof: replace(proof, siblings=proof.siblings[:-1]),
        lambda proof: replace(proof, siblings=(*proof.siblings, Digest(bytes(32)))),
        lambda proof: replace(proof, siblings=(Digest(bytes(32)), *proof.siblings[1:])),
        lambda proof: replace(proof, count=1 << 60),
        lambda proof: replace(proof, count=2),
        lambda proof: replace(proof, siblings=(Digest(bytes(32)),) * 10_000),
    ],
)
def test_forged_proof_is_refused(forge) -> None:  # noqa: ANN001  # takes and returns a proof
    proof: MerkleProof = forge(merkle_proof(LEAVES[:6], 2))

    with pytest.raises(PeerError, match="bad_proof"):
        verify_merkle_proof(merkle_root(LEAVES[:6]), LEAVES[2], proof)


def test_inner_node_does_not_pass_as_a_leaf() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")

    assert merkle_root([left + right]) != merkle_root([b"a", b"b"]) == node_hash(left, right)


@pytest.mark.parametrize("index", [1, 5, -1])
def test_tree_of_one_leaf_has_no_second_place(index: int) -> None:
    with pytest.raises(PeerError, match="index outside the tree"):
        verify_merkle_proof(merkle_root([b"a"]), b"a", MerkleProof(index, 1, ()))
