"""One content, one spelling: every other safetensors file is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load

from potp2p.foundation.errors import OperatingError, PeerError
from potp2p.training.tensors import Tensor, decode_tensors, encode_tensors, read_tensors, write_file

TENSORS: dict[str, Tensor] = {
    "b": np.array([[1.5, -2.0]], np.float32),
    "a": np.array([7], np.int64),
    "c": np.array(3, np.int32),
    "d": np.zeros((0, 4), np.uint16),
}


def file_of(header: object, body: bytes, *, padding: int = 0) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8 + padding)
    return len(text).to_bytes(8, "little") + text + body


def test_tensors_survive_the_file_and_its_bytes_are_frozen() -> None:
    encoded = encode_tensors(TENSORS)
    decoded = decode_tensors(encoded)

    assert list(decoded) == ["a", "b", "c", "d"]
    for name, tensor in TENSORS.items():
        assert decoded[name].dtype == tensor.dtype
        assert np.array_equal(decoded[name], tensor)
    assert encoded.endswith(bytes.fromhex("07000000000000000000c03f000000c003000000"))
    header = (
        '{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},'
        '"b":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},'
        '"c":{"dtype":"I32","shape":[],"data_offsets":[16,20]},'
        '"d":{"dtype":"U16","shape":[0,4],"data_offsets":[20,20]}}'
    )
    assert encoded[8:].startswith(header.encode())


def test_files_are_plain_safetensors_to_others() -> None:
    assert np.array_equal(load(encode_tensors(TENSORS))["b"], TENSORS["b"])


def test_the_order_in_which_tensors_are_given_does_not_show() -> None:
    backwards = dict(reversed(TENSORS.items()))
    assert encode_tensors(backwards) == encode_tensors(TENSORS)


def entry(start: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": [1], "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff" * 8, id="header of 2^64 bytes"),
        pytest.param(file_of([], b""), id="no table"),
        pytest.param(file_of({"b": entry(0, 4), "a": entry(4, 8)}, bytes(8)), id="unsorted"),
        pytest.param(file_of({"a": entry(4, 8), "b": entry(0, 4)}, bytes(8)), id="crossed"),
        pytest.param(file_of({"a": entry(0, 4), "b": entry(0, 4)}, bytes(4)), id="overlap"),
        pytest.param(file_of({"a": entry(0, 4), "b": entry(8, 12)}, bytes(12)), id="gap"),
        pytest.param(file_of({"a": entry(0, 4)}, bytes(5)), id="trailing byte"),
        pytest.param(file_of({"a": entry(0, 4)}, bytes(3)), id="short body"),
        pytest.param(file_of({"a": entry(0, 4)}, bytes(4), padding=8), id="more padding"),
        pytest.param(file_of({"a": entry(0, 2, "F16")}, bytes(2)), id="unknown type"),
        pytest.param(
            file_of({"__metadata__": {"x": "y"}, "a": entry(0, 4)}, bytes(4)), id="metadata"
        ),
        pytest.param(file_of({"a": {**entry(0, 4), "more": 1}}, bytes(4)), id="extra key"),
        pytest.param(
            file_of({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, bytes(4)),
            id="negative length",
        ),
        pytest.param(
            file_of(
                {"a": {"dtype": "F32", "shape": [1 << 33, 1 << 33], "data_offsets": [0, 0]}}, b""
            ),
            id="product wraps around 64 bits",
        ),
        pytest.param((b"[" * 100_000).join([(100_000).to_bytes(8, "little"), b""]), id="deep"),
    ],
)
def test_any_other_spelling_is_refused(encoded: bytes) -> None:
    with pytest.raises(PeerError):
        decode_tensors(encoded)


@given(position=st.integers(0, len(encode_tensors(TENSORS)) - 1), value=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_changes_the_content(position: int, value: int) -> None:
    encoded = bytearray(encode_tensors(TENSORS))
    encoded[position] = value
    try:
        decoded = decode_tensors(bytes(encoded))
    except PeerError:
        return
    assert encode_tensors(decoded) == bytes(encoded)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(encoded: bytes) -> None:
    with pytest.raises(PeerError):
        decode_tensors(encoded)


def test_a_file_over_its_bound_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(PeerError, match=r"large\.safetensors has"):
        read_tensors(path, bytes_max=1 << 20)


def test_a_failed_write_is_an_operating_error(tmp_path: Path) -> None:
    with pytest.raises(OperatingError, match="cannot write"):
        write_file(tmp_path / "absent" / "file", b"x")


def test_a_written_file_leaves_no_partial_behind(tmp_path: Path) -> None:
    write_file(tmp_path / "file", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
