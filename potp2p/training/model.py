"""
A model built from a task's configuration, its parameters laid out in one flat vector.

Never code from a peer: the architecture is one of a list, built by `transformers` itself from
bounded numbers, first on the meta device, where nothing is allocated, to count its parameters.
Attention is the `eager` implementation: plain matmul and softmax, part of the compute rule.
Suffixes as in `layout.py`.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast

import numpy as np
import torch
from torch import nn

from potp2p.foundation.errors import PeerError, RejectionReason
from potp2p.foundation.limits import PARAMETERS_MAX
from potp2p.protocol.wire.tasks import ModelRule, Objective, ToleranceClass
from potp2p.training.checkpoint import Checkpoint
from potp2p.training.configuration import (
    Configuration,
    architecture_of,
    read_configuration,
    refused,
    verify_configuration,
)
from potp2p.training.data import Samples
from potp2p.training.faults import COMPUTATION_ERRORS, describe, printable
from potp2p.training.layout import Layout
from potp2p.training.tensors import Float32

ATTENTION: Final = "eager"
DERIVED_KEYS: Final = frozenset({"model_type", "transformers_version", "num_labels", "dtype"})
"""Keys of a file that the class sets or derives by itself; `id2label` says the number of labels."""

AUTO_CLASSES: Final = {
    ("vit", Objective.CLASSIFY): "AutoModelForImageClassification",
    ("resnet", Objective.CLASSIFY): "AutoModelForImageClassification",
    ("gpt2", Objective.NEXT_TOKEN): "AutoModelForCausalLM",
    ("llama", Objective.NEXT_TOKEN): "AutoModelForCausalLM",
    ("bert", Objective.NEXT_TOKEN): "AutoModelForCausalLM",
}


class _Config(Protocol):
    def to_dict(self) -> dict[str, object]: ...


class _ConfigFactory(Protocol):
    def for_model(self, model_type: str, **values: object) -> _Config: ...


class _ModelFactory(Protocol):
    def from_config(self, config: _Config, **values: object) -> nn.Module: ...


class _Output(Protocol):
    logits: torch.Tensor


@dataclass(frozen=True, slots=True)
class Model:
    """A module whose parameters and gradients are views of flat vectors on its device."""

    module: nn.Module
    objective: Objective
    layout: Layout
    device: torch.device
    theta_P: torch.Tensor
    gradient_P: torch.Tensor
    buffers: tuple[torch.Tensor, ...]
    """Float buffers that a checkpoint keeps, in the order of sorted names."""
    classes: int
    """Width of the output: labels and tokens are below it."""
    is_low_precision: bool = False
    """Matrix products in bfloat16; parameters, gradients and everything summed stay float32."""

    def load(self, checkpoint: Checkpoint) -> None:
        """Copy a checkpoint's parameters and buffers in."""
        self.load_parts(checkpoint.theta_P, checkpoint.buffers_B)

    def load_parts(self, theta_P: Float32, buffers_B: Float32) -> None:
        """Copy flat parameters and buffers in."""
        assert theta_P.shape == (self.layout.parameter_count,)
        with torch.no_grad():
            self.theta_P.copy_(torch.from_numpy(np.ascontiguousarray(theta_P)))
            start = 0
            for buffer in self.buffers:
                part = buffers_B[start : start + buffer.numel()].copy()
                buffer.copy_(torch.from_numpy(part).reshape(buffer.shape))
                start += buffer.numel()

    def read_buffers_B(self) -> Float32:  # shape suffix
        """Return the float buffers as one flat vector."""
        parts = [b.detach().reshape(-1).cpu().numpy() for b in self.buffers]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def loss(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy of a batch."""
        return cross_entropy(self.objective, self.logits(inputs), labels)

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """Run the model forward; the loss is taken from float32 in every class."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.is_low_precision):
            if self.objective is Objective.CLASSIFY:
                output = cast("_Output", self.module(pixel_values=inputs))
            else:
                output = cast("_Output", self.module(input_ids=inputs, use_cache=False))
        return output.logits.float()

    def verify_samples(self, samples: Samples) -> None:
        """Refuse labels or tokens that the model has no output for."""
        targets = samples.labels if self.objective is Objective.CLASSIFY else samples.inputs
        if targets.size and int(targets.max()) >= self.classes:
            detail = f"label or token {int(targets.max())} of {self.classes}"
            raise PeerError(RejectionReason.OUT_OF_BOUNDS, detail)


def cross_entropy(objective: Objective, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean loss; for next tokens every position but the last predicts its successor."""
    if objective is Objective.NEXT_TOKEN:
        logits, labels = logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
    return nn.functional.cross_entropy(logits, labels)


def build_model(path: Path, rule: ModelRule, device: torch.device) -> Model:
    """Build the model that a task's config.json describes, or say why not."""
    configuration = read_configuration(path)
    build = model_builder(configuration, rule)
    with torch.device("meta"):
        layout = layout_of(build())
    if layout.parameter_count != rule.parameters:
        raise refused(f"{layout.parameter_count} parameters, the rules say {rule.parameters}")
    module = build().to(device=device, dtype=torch.float32)
    assert layout_of(module) == layout
    return _flatten(module, rule, layout, device)


def load_library() -> None:
    """Load what building any model needs: seconds that are better spent before the first lease."""
    importlib.import_module("transformers.modeling_utils")


def model_builder(configuration: Configuration, rule: ModelRule) -> Callable[[], nn.Module]:
    """Check a configuration and return what builds its module; weights are still random."""
    architecture = architecture_of(configuration)
    if architecture != rule.architecture:
        raise refused(f"model_type {architecture}, the rules say {rule.architecture}")
    name = AUTO_CLASSES.get((architecture, rule.objective))
    if name is None:
        raise refused(f"{architecture} does not learn to {rule.objective.name.lower()}")
    transformers, config_error = _transformers()
    configs = cast("_ConfigFactory", transformers["AutoConfig"])
    models = cast("_ModelFactory", transformers[name])
    verify_configuration(configuration, configs.for_model(architecture).to_dict(), rule.tolerance)
    values = {k: v for k, v in configuration.items() if k not in DERIVED_KEYS}
    if "id2label" not in values and "num_labels" in configuration:
        values["num_labels"] = configuration["num_labels"]
    try:
        config = configs.for_model(architecture, **values)
        _verify_dropout(config.to_dict())
    except (TypeError, ValueError, KeyError, AttributeError, config_error) as error:
        raise refused(printable(str(error))) from error

    def build() -> nn.Module:
        try:
            return models.from_config(
                config, attn_implementation=ATTENTION, dtype=torch.float32
            ).train()
        except COMPUTATION_ERRORS as error:
            raise refused(describe(error)) from error

    return build


def layout_of(module: nn.Module) -> Layout:
    """List parameters (tied ones once) and float buffers that are part of the state, sorted."""
    parameters = {name: tuple(p.shape) for name, p in module.named_parameters()}
    layout = Layout(
        tuple(sorted(parameters.items())),
        tuple(sorted((name, tuple(b.shape)) for name, b in _state_buffers(module).items())),
    )
    if not 0 < layout.parameter_count <= PARAMETERS_MAX:
        raise refused(f"{layout.parameter_count} parameters")
    return layout


def _verify_dropout(effective: dict[str, object]) -> None:
    """Defaults count too: GPT-2 and BERT drop 10 % unless a configuration says otherwise."""
    for key, value in effective.items():
        if "drop" in key and isinstance(value, int | float) and value != 0:
            raise refused(f"{key} is {value!r:.20}: dropout is not repeatable")


def _state_buffers(module: nn.Module) -> dict[str, torch.Tensor]:
    kept = module.state_dict().keys()
    return {
        name: buffer
        for name, buffer in module.named_buffers()
        if name in kept and buffer.is_floating_point()
    }


def _flatten(module: nn.Module, rule: ModelRule, layout: Layout, device: torch.device) -> Model:
    """Move parameters and gradients into two flat vectors, in the layout's order."""
    named = dict(module.named_parameters())
    theta_P = torch.empty(layout.parameter_count, dtype=torch.float32, device=device)
    gradient_P = torch.zeros_like(theta_P)
    for (name, shape), start, end in zip(
        layout.parameters, layout.offsets[:-1], layout.offsets[1:], strict=True
    ):
        parameter = named[name]
        theta_P[start:end] = parameter.detach().reshape(-1)
        parameter.data = theta_P[start:end].view(shape)
        parameter.grad = gradient_P[start:end].view(shape)
    buffers = _state_buffers(module)
    return Model(
        module=module,
        objective=rule.objective,
        layout=layout,
        device=device,
        theta_P=theta_P,
        gradient_P=gradient_P,
        buffers=tuple(buffers[name] for name, _ in layout.buffers),
        classes=_classes_of(module, rule.objective),
        is_low_precision=rule.tolerance is ToleranceClass.BF16,
    )


def _classes_of(module: nn.Module, objective: Objective) -> int:
    config = cast("object", module.config)
    key = "num_labels" if objective is Objective.CLASSIFY else "vocab_size"
    return cast("int", getattr(config, key))


def _transformers() -> tuple[dict[str, object], type[Exception]]:
    """Load the classes we use, and the error of a configuration field with a wrong type."""
    module = importlib.import_module("transformers")
    errors = importlib.import_module("huggingface_hub.errors")
    names = ("AutoConfig", *sorted(set(AUTO_CLASSES.values())))
    classes = {name: cast("object", getattr(module, name)) for name in names}
    return classes, cast("type[Exception]", errors.StrictDataclassError)
