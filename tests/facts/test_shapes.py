"""Shapes from config.json alone: against files that transformers saves, and published sizes."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import pytest

from rankwise.errors import BaseError
from rankwise.facts.base import read_anatomy
from rankwise.facts.folder import read_config, read_weights
from rankwise.facts.shapes import FAMILIES, weights_from_config

from .conftest import CONFIGS, TINY

IN_CLOSED_FORM = [kind for kind in TINY if kind not in ("gpt_oss", "opt")]


@pytest.mark.parametrize("kind", IN_CLOSED_FORM)
def test_a_config_describes_the_very_tensors_of_the_file(kind, tiny):
    config = read_config(tiny(kind))
    described = weights_from_config(config, config["architectures"][0])
    held = [t for t in read_weights(tiny(kind)) if "float" in t.dtype]
    assert {w.name: w.shape for w in described} == {t.name: t.shape for t in held}
    assert len(described) == len(held)


def test_every_family_is_held_against_a_file(tiny):
    assert {read_config(tiny(kind))["model_type"] for kind in IN_CLOSED_FORM} == set(FAMILIES)


@pytest.mark.parametrize("kind", IN_CLOSED_FORM)
def test_anatomy_is_the_same_without_the_weights(kind, tiny, config_only):
    whole, alone = read_anatomy(tiny(kind), "tiny"), read_anatomy(config_only(kind), "tiny")
    assert (whole.source, alone.source) == ("headers", "config")
    assert sorted(alone.modules, key=lambda m: m.path) == sorted(whole.modules, key=lambda m: m.path)
    assert set(alone.projections) == set(whole.projections)
    assert sorted(alone.expert_parameters, key=lambda p: p.path) == sorted(
        whole.expert_parameters, key=lambda p: p.path
    )
    same = {"path", "source", "modules", "projections", "expert_parameters", "containers"}
    blank = dict.fromkeys(same)
    assert replace(alone, **blank) == replace(whole, **blank)
    assert {k: set(v) for k, v in alone.containers.items()} == {k: set(v) for k, v in whole.containers.items()}


@pytest.mark.parametrize("kind", ["gpt_oss", "opt"])
def test_an_architecture_without_a_closed_form_is_walked(kind, tiny, config_only):
    whole, walked = read_anatomy(tiny(kind), "tiny"), read_anatomy(config_only(kind), "tiny")
    assert walked.source == "meta"
    assert walked.total_parameters == whole.total_parameters
    assert walked.bias_parameters == whole.bias_parameters
    assert set(walked.projections) == set(whole.projections)
    assert set(walked.expert_parameters) == set(whole.expert_parameters)
    assert (walked.tied_head, walked.kind, walked.experts) == (whole.tied_head, whole.kind, whole.experts)


def test_the_walk_knows_which_weights_lie_transposed(config_only):
    """GPT-2 with cross attention has no closed form here, and keeps its weights as (in, out)."""
    import json

    folder = config_only("gpt2")
    config = json.loads((folder / "config.json").read_text()) | {"add_cross_attention": True}
    (folder / "config.json").write_text(json.dumps(config))
    anatomy = read_anatomy(folder)
    assert anatomy.source == "meta"
    shapes = {(p.name, p.role, p.in_features, p.out_features) for p in anatomy.projections}
    assert {("c_attn", "query_key_value", 32, 96), ("c_fc", "up", 32, 128)} <= shapes


def test_an_architecture_nobody_knows_is_said_to_be_unknown(known):
    folder = known("llama-3.2-1b", architectures=["NobodyForCausalLM"])
    with pytest.raises(BaseError, match="knows no architecture 'NobodyForCausalLM'; give the folder with") as caught:
        read_anatomy(folder)
    assert [p.code for p in caught.value.problems] == ["base-unreadable"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 10**9}, "it speaks of 1,000,000,000 layers"),
        ({"num_experts": 10**9}, "it describes more than 1,000,000 weights"),
        ({"moe_intermediate_size": "768"}, "moe_intermediate_size is '768', a positive whole number is needed"),
        ({"num_attention_heads": None}, "num_attention_heads is missing"),
        ({"architectures": []}, "names no architectures"),
    ],
)
def test_a_damaged_config_is_refused(change, message, known):
    with pytest.raises(BaseError, match=message):
        read_anatomy(known("qwen3-30b-a3b", **change))


# Total parameters as their authors publish them; of encoders with the masked-language head that their files carry.
TOTALS = {
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496,
    "llama-3.2-1b": 1_235_814_400,
    "qwen3-8b": 8_190_735_360,
    "qwen3-30b-a3b": 30_532_122_624,
    "mixtral-8x7b": 46_702_792_704,
    "mistral-7b-v0.1": 7_241_732_096,
    "gemma-3-1b": 999_885_952,
    "phi-3-mini": 3_821_079_552,
    "pythia-160m": 162_322_944,
    "gpt2": 124_439_808,
    "t5-small": 60_506_624,
    "bert-base-uncased": 109_514_298,
    "roberta-base": 124_697_433,
    "distilbert-base-uncased": 66_985_530,
    "smollm2-135m": 134_515_008,
    "minilm-l6": 22_713_216,
}


def test_every_known_config_has_its_total():
    assert {file.stem for file in CONFIGS.glob("*.json")} == set(TOTALS)


@pytest.mark.parametrize("name", TOTALS)
def test_total_parameters_are_the_published_ones(name, known):
    anatomy = read_anatomy(known(name))
    assert anatomy.total_parameters == TOTALS[name]
    assert anatomy.source == "config"
    assert not [p for p in anatomy.projections if p.role == "other"]


@pytest.mark.parametrize(
    ("name", "experts", "active", "parameters"),
    [("qwen3-30b-a3b", 128, 8, 96), ("mixtral-8x7b", 8, 2, 64), ("llama-3.1-8b", 0, 0, 0)],
)
def test_experts(name, experts, active, parameters, known):
    anatomy = read_anatomy(known(name))
    assert (anatomy.experts, anatomy.active_experts, len(anatomy.expert_parameters)) == (experts, active, parameters)


def test_the_shape_of_a_large_base_is_told_without_torch_in_a_moment(known):
    code = (
        "import sys, time; from pathlib import Path; from rankwise.facts import read_anatomy; began = time.monotonic();"
        "a = read_anatomy(Path(sys.argv[1])); a.trainable_parameters(a.resolve_targets('all-linear').modules, 16);"
        "print(time.monotonic() - began, 'torch' in sys.modules, 'transformers' in sys.modules)"
    )
    for name in ("llama-3.1-70b", "qwen3-30b-a3b"):
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-c", code, known(name)], capture_output=True, text=True, check=True)
        seconds, torch, transformers = done.stdout.split()
        assert float(seconds) < 1, time.monotonic() - began
        assert (torch, transformers) == ("False", "False")
