"""
A model's config.json, judged before anything is built from it: bounded, known keys, no code.

A configuration is data from a stranger. It may size a model and choose among known activations; it
may not name code, open files, add dropout or use more layers than a machine can list.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from potp2p.foundation.errors import OperatingError, PeerError, RejectionReason
from potp2p.foundation.limits import CBOR_DENSITY_FREE_BYTES, CONFIGURATION_BYTES_MAX
from potp2p.protocol.wire.tasks import ToleranceClass

ARCHITECTURES: Final = ("bert", "gpt2", "llama", "resnet", "vit")
SMOOTH: Final = frozenset({"gelu", "gelu_new", "gelu_pytorch_tanh", "silu", "swish", "tanh"})
KINKED: Final = frozenset({"relu"})
INTEGER_MAX: Final = 1 << 20
LAYERS_MAX: Final = 256
LIST_MAX: Final = 64
LABELS_MAX: Final = 1 << 16
TEXT_MAX: Final = 256
INTEGER_BOUNDS: Final = {
    "depths": LAYERS_MAX,
    "n_layer": LAYERS_MAX,
    "num_hidden_layers": LAYERS_MAX,
    "num_labels": LABELS_MAX,
}
LABEL_KEYS: Final = frozenset({"id2label", "label2id"})
ACTIVATION_KEYS: Final = frozenset({"hidden_act", "activation_function", "pooler_act"})
OTHER_KEYS: Final[dict[str, object]] = {
    "architectures": [],
    "dtype": "",
    "model_type": "",
    "num_labels": 0,
    "transformers_version": "",
}
"""Keys that every saved configuration may have beside those of its class, each with its type."""
CODE_KEYS: Final = frozenset({"auto_map"})
LIST_KEYS: Final = frozenset({"eos_token_id", "image_size", "patch_size"})
"""Numbers that may also be a list of numbers."""
REFUSED_TRUE: Final = frozenset(
    {"output_attentions", "output_hidden_states", "add_cross_attention"}
)
MEMORY_WEIGHTS: Final = {b"[": 64, b"{": 64, b":": 80, b",": 56}
"""Bytes of memory for each of these signs: a list, a table, its entries, one more value."""
MEMORY_PER_BYTE: Final = 8
"""What parsing may take beside the text itself, so that all in all it stays within tenfold."""

Configuration = dict[str, object]


def read_configuration(path: Path) -> Configuration:
    """Read a bounded JSON object; its keys are judged by `verify_configuration`."""
    try:
        with path.open("rb") as file:
            encoded = file.read(CONFIGURATION_BYTES_MAX + 1)
    except OSError as error:
        raise OperatingError(f"cannot read {path}: {error.strerror}") from error
    if len(encoded) > CONFIGURATION_BYTES_MAX:
        raise refused("larger than a configuration may be")
    weight = sum(encoded.count(sign) * each for sign, each in MEMORY_WEIGHTS.items())
    if weight > MEMORY_PER_BYTE * len(encoded) + CBOR_DENSITY_FREE_BYTES:
        raise refused("too many parts for its size")
    try:
        parsed: object = json.loads(encoded)
    except (ValueError, RecursionError) as error:
        raise refused("not JSON") from error
    if not isinstance(parsed, dict):
        raise refused("not an object")
    return cast("Configuration", parsed)


def verify_configuration(
    configuration: Configuration, defaults: Mapping[str, object], tolerance: ToleranceClass
) -> None:
    """
    Refuse every key or value that could cost more, or do other, than training this model.

    Defaults are those of the model's class: they say which keys there are, and the type of each.
    """
    known: dict[str, object] = {**defaults, **OTHER_KEYS}
    for key, value in configuration.items():
        if key not in known or key in CODE_KEYS:
            raise refused(f"unknown key {key!r:.80}")
        if not _has_type_of(key, value, known[key]):
            raise refused(f"{key} has another type than it should: {value!r:.40}")
        if key in REFUSED_TRUE and value is not False:
            raise refused(f"{key} must be false")
        if "drop" in key and value is not None and value != 0:
            raise refused(f"{key} is {value!r:.20}: dropout is not repeatable")
        _verify_value(key, value)
    if configuration.get("model_type") == "bert" and configuration.get("is_decoder") is not True:
        raise refused("bert predicts next tokens only with is_decoder true")
    _verify_activations(configuration, tolerance)


def architecture_of(configuration: Configuration) -> str:
    """Return the `model_type`, one of the allow-list."""
    name = configuration.get("model_type")
    if name not in ARCHITECTURES:
        raise refused(f"model_type {name!r:.80} is not one of {', '.join(ARCHITECTURES)}")
    return name


def uses_kinks(configuration: Configuration) -> bool:
    """Tell whether the model has ReLU, named or by the default of ResNet."""
    default = "relu" if configuration.get("model_type") == "resnet" else "gelu"
    named = [configuration.get(key) for key in ACTIVATION_KEYS]
    named.append(configuration.get("hidden_act", default))
    return any(isinstance(name, str) and name in KINKED for name in named)


def _has_type_of(key: str, value: object, default: object) -> bool:
    """Tell whether a value has its default's type; the class itself judges null."""
    if value is None:
        return True
    if isinstance(value, list) and key in LIST_KEYS:
        return True
    match default:
        case None:
            # Such keys are token ids, sizes and names: one value each.
            return not isinstance(value, list | dict)
        case float():
            return type(value) in (int, float)
        case list() | tuple():
            return isinstance(value, list)
        case _:
            # Exactly: true is no number here, though Python takes it for one.
            return type(value) is type(default)


def _verify_activations(configuration: Configuration, tolerance: ToleranceClass) -> None:
    for key in ACTIVATION_KEYS:
        value = configuration.get(key)
        is_known = isinstance(value, str) and value in SMOOTH | KINKED
        if value is not None and not is_known:
            raise refused(f"{key} {value!r:.40} is not a known activation")
    # Batch statistics amplify rounding as kinks do (`reference/verification.md` 3.1).
    is_rough = uses_kinks(configuration) or configuration.get("model_type") == "resnet"
    if is_rough and tolerance is not ToleranceClass.RELU:
        raise refused("ReLU and batch-norm need tolerance class relu")


def _verify_value(key: str, value: object) -> None:
    match value:
        case list():
            _verify_items(key, cast("list[object]", value), LIST_MAX)
        case dict():
            table = cast("dict[str, object]", value)
            _verify_items(key, list(table.values()), LABELS_MAX if key in LABEL_KEYS else LIST_MAX)
        case _:
            _verify_scalar(key, value)


def _verify_items(key: str, items: list[object], count_max: int) -> None:
    if len(items) > count_max:
        raise refused(f"{key} has {len(items)} entries")
    for item in items:
        _verify_scalar(key, item)


def _verify_scalar(key: str, value: object) -> None:
    match value:
        case None | bool():
            return
        case int():
            bound = INTEGER_BOUNDS.get(key, INTEGER_MAX)
            is_fine = 0 <= value <= bound
        case float():
            is_fine = math.isfinite(value) and abs(value) <= INTEGER_MAX
        case str():
            is_fine = len(value) <= TEXT_MAX and value.isprintable()
        case _:
            is_fine = False
    if not is_fine:
        raise refused(f"{key} is out of range: {value!r:.40}")


def refused(detail: str) -> PeerError:
    """Return the error for a configuration that we do not train."""
    return PeerError(RejectionReason.BAD_TASK, f"config.json: {detail}")
