"""A configuration is a stranger's: it sizes a known architecture and can do nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from potp2p.foundation.errors import PeerError
from potp2p.protocol.wire.tasks import ModelRule, Objective, ToleranceClass
from potp2p.training.checkpoint import checkpoint_from_tensors
from potp2p.training.configuration import Configuration, uses_kinks
from potp2p.training.model import build_model
from potp2p.training.prepare import initial_checkpoint
from potp2p.training.tensors import decode_tensors
from tests.training.orders import GPT2, RESNET, VIT, images_order, resnet_order, tokens_order

CPU = torch.device("cpu")
VIT_RULE = replace(images_order().rules.model, parameters=initial_checkpoint(images_order())[0])


def build(tmp_path: Path, configuration: Configuration, rule: ModelRule) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(configuration))
    build_model(path, rule, CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_dropout_prob": 0.1}, "dropout is not repeatable"),
        ({"attention_probs_dropout_prob": 1e-9}, "dropout is not repeatable"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "unknown key 'auto_map'"),
        ({"trust_remote_code": True}, "unknown key 'trust_remote_code'"),
        ({"quantization_config": {}}, "unknown key"),
        ({"hidden_act": "relu"}, "tolerance class relu"),
        ({"hidden_act": "evil.function"}, "not a known activation"),
        ({"num_hidden_layers": 1_000_000_000}, "num_hidden_layers is out of range"),
        ({"hidden_size": 1 << 40}, "hidden_size is out of range"),
        ({"hidden_size": 48, "intermediate_size": 1 << 20}, "the rules say"),
        ({"hidden_size": 17}, "config.json"),
        ({"hidden_size": "16"}, "config.json"),
        ({"patch_size": 0}, "config.json"),
        ({"initializer_range": float("nan")}, "initializer_range is out of range"),
        ({"id2label": {str(i): "x" for i in range(70_000)}}, "too many parts for its size"),
        ({"label2id": {"a": {"b": 1}}}, "label2id is out of range"),
        ({"model_type": "t5"}, "is not one of"),
        ({"model_type": ["vit"]}, "is not one of"),
        ({"model_type": "gpt2"}, "the rules say vit"),
        ({"output_attentions": True}, "must be false"),
        ({"num_attention_heads": 0}, "config.json"),
        ({"image_size": -8}, "image_size is out of range"),
        ({"hidden_act": []}, "hidden_act has another type"),
        ({"hidden_act": {}}, "hidden_act has another type"),
        ({"pooler_act": ["tanh"]}, "pooler_act has another type"),
        ({"hidden_size": [16]}, "hidden_size has another type"),
        ({"hidden_size": True}, "hidden_size has another type"),
        ({"qkv_bias": 1}, "qkv_bias has another type"),
        ({"layer_norm_eps": "1e-6"}, "layer_norm_eps has another type"),
        ({"layer_norm_eps": {}}, "layer_norm_eps has another type"),
        ({"id2label": ["left"]}, "id2label has another type"),
        ({"architectures": "vit"}, "architectures has another type"),
        ({"num_labels": [3]}, "num_labels has another type"),
        ({"num_labels": True}, "num_labels has another type"),
        ({"problem_type": ["regression"]}, "problem_type has another type"),
        ({"image_size": [8, [8]]}, "image_size is out of range"),
        ({"id2label": {"\U0001f600" * 100: "x"}}, "config.json"),
    ],
)
def test_a_hostile_configuration_is_refused(
    change: Configuration, message: str, tmp_path: Path
) -> None:
    with pytest.raises(PeerError, match=message):
        build(tmp_path, {**VIT, **change}, VIT_RULE)


@pytest.mark.parametrize("value", [[], {}, [[]], 1, None, True])
def test_asking_for_kinks_answers_whatever_the_activation_is(value: object) -> None:
    assert not uses_kinks({"model_type": "vit", "hidden_act": value})
    assert not uses_kinks({"model_type": "vit", "pooler_act": value})


def test_sizes_may_be_given_for_each_side(tmp_path: Path) -> None:
    build(tmp_path, {**VIT, "image_size": [8, 8], "patch_size": [4, 4]}, VIT_RULE)


def test_dropout_by_default_is_refused_too(tmp_path: Path) -> None:
    configuration = {key: value for key, value in GPT2.items() if "pdrop" not in key}
    rule = replace(VIT_RULE, architecture="gpt2", objective=Objective.NEXT_TOKEN)
    with pytest.raises(PeerError, match=r"pdrop is 0\.1"):
        build(tmp_path, configuration, rule)


def test_bert_must_not_see_the_tokens_it_predicts(tmp_path: Path) -> None:
    configuration: Configuration = {"model_type": "bert"}
    rule = replace(VIT_RULE, architecture="bert", objective=Objective.NEXT_TOKEN)
    with pytest.raises(PeerError, match="is_decoder"):
        build(tmp_path, configuration, rule)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("tolerance", [ToleranceClass.SMOOTH, ToleranceClass.BF16])
def test_kinks_and_batch_norm_need_their_class_in_every_precision(
    tmp_path: Path, activation: str, tolerance: ToleranceClass
) -> None:
    rule = replace(resnet_order().rules.model, tolerance=tolerance)
    with pytest.raises(PeerError, match="tolerance class relu"):
        build(tmp_path, {**RESNET, "hidden_act": activation}, rule)
    if activation == "relu":
        with pytest.raises(PeerError, match="tolerance class relu"):
            build(tmp_path, {**VIT, "hidden_act": "relu"}, replace(VIT_RULE, tolerance=tolerance))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_object_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(PeerError, match=r"config\.json: (not|too many parts)"):
        build_model(path, VIT_RULE, CPU)


def test_tied_weights_are_listed_once() -> None:
    count, encoded = initial_checkpoint(tokens_order())
    checkpoint = checkpoint_from_tensors(decode_tensors(encoded))
    names = [name for name, _ in checkpoint.layout.parameters]
    assert "transformer.wte.weight" in names
    assert "lm_head.weight" not in names
    assert checkpoint.layout.parameter_count == count


def test_running_statistics_are_buffers_and_counters_are_not() -> None:
    _, encoded = initial_checkpoint(resnet_order())
    checkpoint = checkpoint_from_tensors(decode_tensors(encoded))
    names = [name for name, _ in checkpoint.layout.buffers]
    assert any(name.endswith("running_var") for name in names)
    assert not any("num_batches_tracked" in name for name in names)


def test_parameters_are_views_of_the_flat_vector(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(VIT))
    model = build_model(path, VIT_RULE, CPU)
    checkpoint = checkpoint_from_tensors(decode_tensors(initial_checkpoint(images_order())[1]))
    model.load(checkpoint)
    named = dict(model.module.named_parameters())
    for (name, _), start, end in zip(
        model.layout.parameters, model.layout.offsets[:-1], model.layout.offsets[1:], strict=True
    ):
        flat = named[name].detach().numpy().reshape(-1)
        assert np.array_equal(flat, checkpoint.theta_P[start:end])
    model.theta_P.zero_()
    assert all(not parameter.any() for parameter in named.values())
