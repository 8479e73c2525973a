"""The authenticated map against a naive one that hashes everything anew each time."""

import random
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.types import Digest
from potp2p.protocol.ledger.tree import (
    EMPTY,
    SLICE_KEYS,
    LeafDigests,
    Proof,
    prove,
    update,
    updating,
    verify_proof,
)
from potp2p.protocol.wire.schema import decode, encode


def naive_root(contents: dict[bytes, bytes]) -> bytes:
    """Return the root by the rule of the module's docstring, from bit strings."""
    leaves = [
        (
            "".join(f"{byte:08b}" for byte in sha256(key).digest()),
            sha256(b"\x00" + sha256(key).digest() + sha256(value).digest()).digest(),
        )
        for key, value in contents.items()
    ]

    def root(below: list[tuple[str, bytes]], depth: int) -> bytes:
        if not below:
            return bytes(32)
        if len(below) == 1:
            return below[0][1]
        halves = [
            root([leaf for leaf in below if leaf[0][depth] == bit], depth + 1) for bit in "01"
        ]
        return sha256(b"\x01" + halves[0] + halves[1]).digest()

    return root(leaves, 0)


class Tree:
    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.root = EMPTY
        self.contents: dict[bytes, bytes] = {}

    def get_node(self, path: bytes) -> bytes | None:
        return self.nodes.get(path)

    def write(self, writes: dict[bytes, bytes | None]) -> None:
        self.root, nodes = update(self, self.root, writes)
        for table, changes in ((self.nodes, nodes), (self.contents, writes)):
            for key, value in changes.items():
                if value is None:
                    table.pop(key, None)
                else:
                    table[key] = value


keys = st.integers(0, 40).map(lambda number: b"key %d" % number)
batches = st.lists(
    st.dictionaries(keys, st.none() | st.binary(max_size=3), max_size=12), min_size=1, max_size=8
)


@given(batches)
def test_root_and_nodes_depend_on_contents_alone(history: list[dict[bytes, bytes | None]]) -> None:
    tree = Tree()
    for writes in history:
        tree.write(writes)
        assert tree.root == naive_root(tree.contents)
    fresh = Tree()
    fresh.write(dict(tree.contents))
    assert fresh.nodes == tree.nodes, "nodes that nothing refers to stay behind"


@given(st.dictionaries(keys, st.binary(max_size=3), max_size=20), st.randoms())
def test_order_of_writes_does_not_matter(
    contents: dict[bytes, bytes], random_order: random.Random
) -> None:
    at_once, one_by_one = Tree(), Tree()
    at_once.write(dict(contents))
    order = list(contents)
    random_order.shuffle(order)
    for key in order:
        one_by_one.write({key: contents[key]})
    assert one_by_one.root == at_once.root
    assert one_by_one.nodes == at_once.nodes


@given(st.dictionaries(keys, st.binary(max_size=3), max_size=20), keys, st.binary(max_size=3))
def test_presence_and_absence_are_proved_and_nothing_else_is(
    contents: dict[bytes, bytes], key: bytes, other: bytes
) -> None:
    tree = Tree()
    tree.write(dict(contents))
    proof = prove(tree, tree.root, key)
    assert decode(Proof, encode(proof)) == proof
    truth = contents.get(key)
    verify_proof(tree.root, key, truth, proof)
    for lie in {None, other} - {truth}:
        with pytest.raises(PeerError, match="bad_proof"):
            verify_proof(tree.root, key, lie, proof)


@pytest.fixture
def grown() -> Tree:
    tree = Tree()
    tree.write({b"key %d" % number: b"value" for number in range(64)})
    return tree


def refused(root: bytes, key: bytes, value: bytes | None, proof: Proof) -> bool:
    try:
        verify_proof(Digest(root), key, value, proof)
    except PeerError as error:
        return error.reason is RejectionReason.BAD_PROOF
    return False


def test_forged_proofs_are_refused(grown: Tree) -> None:
    key, absent = b"key 7", b"key 64"
    proof, absence = prove(grown, grown.root, key), prove(grown, grown.root, absent)
    assert proof.leaf is not None
    other = prove(grown, grown.root, b"key 8")
    other_value = LeafDigests(proof.leaf.key, Digest(sha256(b"more").digest()))
    swapped = (proof.siblings[1], proof.siblings[0], *proof.siblings[2:])
    for forged in (
        replace(proof, siblings=proof.siblings[:-1]),
        replace(proof, siblings=(*proof.siblings, EMPTY)),
        replace(proof, siblings=swapped),
        replace(proof, siblings=()),
        replace(proof, leaf=None),
        other,
    ):
        assert refused(grown.root, key, b"value", forged)
    assert refused(grown.root, key, b"more", replace(proof, leaf=other_value))
    assert refused(grown.root, key, None, other), "another key's leaf from another path"
    assert refused(grown.root, key, None, replace(proof, leaf=None))
    assert refused(grown.root, absent, b"value", absence)
    assert refused(EMPTY, key, b"value", proof)
    assert refused(sha256(b"another root").digest(), key, b"value", proof)


def test_inner_node_does_not_pass_for_a_leaf(grown: Tree) -> None:
    inner = grown.nodes[bytes(2)]
    assert inner[:1] == b"\x01"
    leaf = LeafDigests(Digest(inner[1:33]), Digest(inner[33:]))
    assert refused(grown.root, b"key 7", None, Proof((), leaf))


def test_update_touches_one_path(grown: Tree) -> None:
    _, nodes = update(grown, grown.root, {b"key 7": b"new"})
    depth = len(prove(grown, grown.root, b"key 7").siblings)
    assert len(nodes) == depth + 1


def test_same_value_again_keeps_the_root(grown: Tree) -> None:
    assert update(grown, grown.root, {b"key 7": b"value"})[0] == grown.root
    assert update(grown, grown.root, {b"key 99": None})[0] == grown.root
    assert update(grown, grown.root, {}) == (grown.root, {})


def test_everything_deleted_is_the_empty_tree(grown: Tree) -> None:
    grown.write(dict.fromkeys(grown.contents))
    assert grown.root == EMPTY
    assert grown.nodes == {}


@pytest.mark.parametrize("slice_keys", [1, 2, 7, 1_000])
def test_root_and_nodes_do_not_depend_on_where_a_batch_is_cut(
    slice_keys: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(4)
    whole, cut = Tree(), Tree()
    for _ in range(12):
        numbers = draw.sample(range(300), 40)
        writes = {
            b"key %d" % number: None if draw.random() < 0.4 else draw.randbytes(3)
            for number in numbers
        }
        whole.write(writes)
        with monkeypatch.context() as patched:
            patched.setattr("potp2p.protocol.ledger.tree.SLICE_KEYS", slice_keys)
            cut.write(writes)
        assert (cut.root, cut.nodes) == (whole.root, whole.nodes)
        assert cut.root == naive_root(cut.contents)


def test_others_have_their_turn_within_a_large_batch() -> None:
    writes = {b"key %d" % number: b"value" for number in range(3 * SLICE_KEYS)}

    assert len(list(updating(Tree(), EMPTY, writes))) == 2
