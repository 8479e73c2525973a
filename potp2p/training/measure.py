"""
Measures a fetched model as its owner would use it: loaded by transformers from its folder.

`python -m potp2p.training.measure --model DIR --package DIR` prints one JSON line: the mean loss on
the package's held-out data and, for a classifier, the share of it that is classified right.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from torch.nn import functional

from potp2p.foundation.errors import ConfigurationError, Potp2pError
from potp2p.protocol.wire.tasks import Objective
from potp2p.settings.task_file import read_rules
from potp2p.training.data import Samples, read_samples

BATCH_SAMPLES: int = 64


class _Answer(Protocol):
    logits: torch.Tensor


class _Pretrained(Protocol):
    def eval(self) -> object: ...

    def __call__(self, **inputs: torch.Tensor) -> _Answer: ...


class _Loader(Protocol):
    def from_pretrained(self, folder: str, **options: object) -> _Pretrained: ...


def measure(model_folder: Path, package: Path) -> dict[str, object]:
    """Return loss in nats and accuracy, None where there is nothing to classify."""
    rules = read_rules(package / "task.toml")
    samples = read_samples(package / "evaluation.safetensors", rules.model.objective)
    model = _load(model_folder, rules.model.objective)
    torch.set_num_threads(1)
    losses, right = 0.0, 0
    with torch.inference_mode():
        for start in range(0, samples.count, BATCH_SAMPLES):
            stop = min(start + BATCH_SAMPLES, samples.count)
            loss, hits = _batch(model, samples, np.arange(start, stop, dtype=np.int64))
            losses += loss * (stop - start)
            right += hits
    is_classifier = rules.model.objective is Objective.CLASSIFY
    return {
        "loss": losses / samples.count,
        "accuracy": right / samples.count if is_classifier else None,
        "samples": samples.count,
    }


def _batch(
    model: _Pretrained, samples: Samples, indices: "np.ndarray[tuple[int], np.dtype[np.int64]]"
) -> tuple[float, int]:
    inputs, labels = samples.batch(indices, torch.device("cpu"))
    if samples.objective is Objective.CLASSIFY:
        logits = model(pixel_values=inputs).logits
        hits = int((logits.argmax(dim=-1) == labels).sum())
        return float(functional.cross_entropy(logits, labels)), hits
    tokens = inputs.long()
    logits = model(input_ids=tokens).logits[:, :-1]
    flat = logits.reshape(-1, logits.shape[-1])
    return float(functional.cross_entropy(flat, tokens[:, 1:].reshape(-1))), 0


def _load(folder: Path, objective: Objective) -> _Pretrained:
    """Load as the README tells users to; safetensors only, no code from the folder."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers  # noqa: PLC0415  # after the environment is set

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    name = (
        "AutoModelForImageClassification"
        if objective is Objective.CLASSIFY
        else "AutoModelForCausalLM"
    )
    loader = cast("_Loader", getattr(transformers, name))
    try:
        model = loader.from_pretrained(
            str(folder), use_safetensors=True, trust_remote_code=False, local_files_only=True
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ConfigurationError(f"{folder}: cannot be loaded as a model: {error}") from error
    model.eval()
    return model


def main() -> int:
    """Parse the command line, print one JSON line, return the exit code."""
    parser = argparse.ArgumentParser(prog="potp2p.training.measure")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--package", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        measured = measure(cast("Path", arguments.model), cast("Path", arguments.package))
    except Potp2pError as error:
        sys.stderr.write(f"measure: {' '.join(str(error).split())}\n")
        return 3
    sys.stdout.write(json.dumps(measured) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
