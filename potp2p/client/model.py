"""A checkpoint turned into the `model.safetensors` that `from_pretrained` loads, without torch."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from safetensors.numpy import load_file, save_file

KEPT_PREFIXES: Final = ("parameter/", "buffer/")
"""Optimizer state stays behind: it is part of the checkpoint, not of the model."""


def write_model(checkpoint: Path, target: Path) -> None:
    """Copy parameters and buffers under the names that the model's state dict uses."""
    tensors = load_file(checkpoint)
    kept = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        for prefix in KEPT_PREFIXES
        if name.startswith(prefix)
    }
    save_file(kept, target, metadata={"format": "pt"})


def write_model_folder(
    out: Path, configuration: Path, checkpoint: Path, receipt: Mapping[str, object]
) -> None:
    """Write config, weights and receipt; a folder is never left with half a model."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(configuration, out / "config.json")
    partial = out / "model.safetensors.partial"
    write_model(checkpoint, partial)
    os.replace(partial, out / "model.safetensors")
    (out / "receipt.json").write_text(json.dumps(receipt, indent=2) + "\n")
