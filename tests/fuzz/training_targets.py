"""What workers read of strangers: tensor files, checkpoints, payloads, model configurations."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Final

import numpy as np

from potp2p.foundation.errors import PeerError
from potp2p.foundation.types import AccountId, Digest, Round, ShardIndex, TaskId
from potp2p.protocol.wire.tasks import ToleranceClass
from potp2p.training.checkpoint import Checkpoint, checkpoint_from_tensors, encode_checkpoint
from potp2p.training.commands import Lease
from potp2p.training.compression import d8
from potp2p.training.configuration import (
    architecture_of,
    read_configuration,
    uses_kinks,
    verify_configuration,
)
from potp2p.training.layout import Layout
from potp2p.training.tensors import Tensor, decode_tensors, encode_tensors
from tests.fuzz.mutations import ANY, TEXT, Mutate
from tests.fuzz.targets import Target

LAYOUT: Final = Layout((("a", (3,)), ("b", ()), ("c", (0, 2)), ("d", (2, 2))), (("mean", (2,)),))
LEASE: Final = Lease(AccountId(bytes(20)), TaskId(Digest(bytes(32))), Round(1), ShardIndex(2))
DTYPES: Final = (np.float32, np.int32, np.int64, np.uint16)
CONFIGURATION: Final = {
    "model_type": "vit",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "hidden_dropout_prob": 0.0,
    "image_size": 8,
    "id2label": {"0": "left", "1": "right"},
    "architectures": ["ViT"],
}
DEFAULTS: Final[dict[str, object]] = {**CONFIGURATION, "eos_token_id": None, "auto_map": {}}


def training_targets(folder: Path) -> Iterator[Target]:
    """Yield the targets."""
    mutators: tuple[Mutate, ...] = (*ANY, *TEXT)
    yield Target(
        "tensor file",
        decode_tensors,
        (PeerError,),
        _tensors_seed,
        encode_tensors,  # type: ignore[arg-type]
        mutators,
        _heavy_header,
    )
    yield Target(
        "checkpoint",
        lambda encoded: checkpoint_from_tensors(decode_tensors(encoded)),
        (PeerError,),
        _checkpoint_seed,
        encode_checkpoint,  # type: ignore[arg-type]
        mutators,
        _heavy_header,
    )
    yield Target("payload", _payload, (PeerError,), _payload_seed)
    yield Target("lease of a payload", d8.decode_lease, (PeerError,), _payload_seed)
    yield Target(
        "model configuration",
        _configuration(folder),
        (PeerError,),
        lambda _: json.dumps(CONFIGURATION).encode(),
        mutators=TEXT,
        heavy=_heavy_json,
        memory_free=2 << 20,
        memory_reason="the buffer for reading a file of the largest size, twice",
    )


def _tensors_seed(random: Random) -> bytes:
    tensors: dict[str, Tensor] = {}
    for _ in range(random.randrange(5)):
        shape = tuple(random.randrange(3) for _ in range(random.randrange(4)))
        name = random.choice(("a", "b/c", "é", '"', "\\", "", "x" * 60))
        tensors[name] = np.zeros(shape, random.choice(DTYPES))
    return encode_tensors(tensors)


def _checkpoint_seed(random: Random) -> bytes:
    values = np.frombuffer(random.randbytes(LAYOUT.parameter_count), np.int8).astype(np.float32)
    buffers = np.zeros(LAYOUT.buffer_count, np.float32)
    return encode_checkpoint(Checkpoint(LAYOUT, values, buffers, None))


def _payload_seed(random: Random) -> bytes:
    update = np.frombuffer(random.randbytes(LAYOUT.parameter_count), np.int8) * np.float32(2**-9)
    return d8.encode(LEASE, LAYOUT, update.astype(np.float32), np.zeros(2, np.float32))


def _payload(encoded: bytes) -> d8.Payload:
    payload = d8.decode(encoded, LAYOUT)
    update = d8.dequantize(LAYOUT, payload)
    assert np.isfinite(update).all()
    values, exponents = d8.quantize(LAYOUT, update)
    # An exponent below the least one is impossible; a chunk of zeros has the least one.
    assert (values == payload.values_P).all()
    assert (exponents == payload.exponents_C).all()
    assert payload.norm_squared(LAYOUT) >= 0
    _, start = d8.decode_lease(encoded)
    for chunk in range(len(exponents)):
        first, end = d8.block_place(LAYOUT, start, range(chunk, chunk + 1))
        block, _ = d8.decode_block(encoded[first:end], LAYOUT, range(chunk, chunk + 1))
        assert (block == payload.block(LAYOUT, range(chunk, chunk + 1))[0]).all()
    return payload


def _configuration(folder: Path) -> Callable[[bytes], object]:
    path = folder / "config.json"

    def decode(encoded: bytes) -> object:
        path.write_bytes(encoded)
        configuration = read_configuration(path)
        verify_configuration(configuration, DEFAULTS, ToleranceClass.RELU)
        uses_kinks(configuration)
        return architecture_of(configuration)

    return decode


def _heavy_json(random: Random) -> bytes:
    item = random.choice((b"[]", b"{}", b"0", b"300", b'""', b'"ab"', b"[[]]", b'{"a":1}', b"0.5"))
    items = b",".join([item] * (random.choice((2_000, 50_000, 200_000)) // (len(item) + 1)))
    table = b",".join(b'"%x":%b' % (each, item) for each in range(random.choice((9, 2_000))))
    return random.choice((b"[" + items + b"]", b"{" + table + b"}", b'{"a":[' + items + b"]}"))


def _heavy_header(random: Random) -> bytes:
    """Return a file of many small tensors, or a header that only looks like one."""
    if random.random() < 0.5:
        header = _heavy_json(random)
        return len(header).to_bytes(8, "little") + header
    count = random.choice((10, 300, 3_000))
    return encode_tensors({f"{each:x}": np.zeros(0, np.float32) for each in range(count)})
