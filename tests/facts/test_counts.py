"""Trainable parameters in closed form, from config.json alone, against what PEFT builds on the meta device."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rankwise.facts.base import Anatomy, read_anatomy
from rankwise.facts.counts import METHODS, trainable_parameters

from .conftest import TINY, build

MIXTURES = ("mixtral", "qwen3_moe", "gpt_oss")
PREFIXED = ("llama", "llama-biased", "qwen2", "qwen3", "gemma3", "mistral", "phi3", "gpt2", "gpt_neox", "t5")
ROLES = {
    "attention": {"query", "key", "value", "query_key_value", "attention_output"},
    "mlp": {"gate", "gate_up", "up", "down"},
    "query-value": {"query", "value", "query_key_value"},
}


def peft_counts(kind: str, config: object) -> int:
    """Trainable parameters of a tiny model of `kind` under a PEFT config; nothing is allocated."""
    import torch
    from peft import get_peft_model

    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        adapted = get_peft_model(build(kind), config)
    return sum(p.numel() for p in adapted.parameters() if p.requires_grad)


@pytest.fixture(scope="session")
def anatomy_of(config_only: Callable[[str], Path]) -> Callable[[str], Anatomy]:
    made: dict[str, Anatomy] = {}

    def anatomy(kind: str) -> Anatomy:
        if kind not in made:
            made[kind] = read_anatomy(config_only(kind))
        return made[kind]

    return anatomy


def names_by_role(anatomy: Anatomy, choice: str) -> list[str]:
    """Full paths, so that BERT's three kinds of `dense` stay apart."""
    return [m.path for m in anatomy.modules if m.reachable and m.role in ROLES[choice]]


@pytest.mark.parametrize("choice", ROLES)
@pytest.mark.parametrize("kind", TINY)
def test_lora_by_role(kind, choice, anatomy_of):
    from peft import LoraConfig

    anatomy = anatomy_of(kind)
    modules = names_by_role(anatomy, choice)
    if not modules:
        assert (kind in MIXTURES and choice == "mlp") or kind == "gpt_oss"
        return
    counted = trainable_parameters(anatomy, "lora", modules, 3)
    assert counted == peft_counts(kind, LoraConfig(r=3, target_modules=modules)) > 0


@pytest.mark.parametrize("bias", ["none", "lora_only", "all"])
@pytest.mark.parametrize("kind", TINY)
def test_lora_on_all_linear_layers_with_every_bias(kind, bias, anatomy_of):
    from peft import LoraConfig

    anatomy = anatomy_of(kind)
    modules = anatomy.resolve_targets("all-linear").modules
    expected = peft_counts(kind, LoraConfig(r=4, target_modules=list(modules), bias=bias))
    for method in ("lora", "qlora"):
        assert trainable_parameters(anatomy, method, modules, 4, bias) == expected


@pytest.mark.parametrize("kind", TINY)
def test_lora_on_every_container(kind, anatomy_of):
    from peft import LoraConfig

    anatomy = anatomy_of(kind)
    assert anatomy.containers
    for container, inside in anatomy.containers.items():
        modules = anatomy.resolve_targets([container]).modules
        assert modules == inside
        counted = trainable_parameters(anatomy, "lora", modules, 2)
        assert counted == peft_counts(kind, LoraConfig(r=2, target_modules=list(modules))), container


@pytest.mark.parametrize("word", ["attention", "mlp"])
@pytest.mark.parametrize("kind", TINY)
def test_lora_on_the_layers_of_a_word(kind, word, anatomy_of):
    """`attention` and `mlp` mean a base's own layers, also where it has no container of that name."""
    from peft import LoraConfig

    anatomy = anatomy_of(kind)
    wanted, modules = names_by_role(anatomy, word), anatomy.resolve_targets([word]).modules
    reached = {m.path for m in anatomy.targeted(modules)}
    if word not in anatomy.containers:
        assert reached == set(wanted)
    assert set(wanted) <= reached
    if modules:
        counted = trainable_parameters(anatomy, "lora", modules, 2)
        assert counted == peft_counts(kind, LoraConfig(r=2, target_modules=list(modules)))


@pytest.mark.parametrize("kind", [k for k, (name, _, _) in TINY.items() if "Causal" in name or "LMHead" in name])
def test_lora_on_the_head(kind, anatomy_of):
    from peft import LoraConfig

    anatomy = anatomy_of(kind)
    [query] = {m.leaf for m in anatomy.modules if m.role in ("query", "query_key_value")}
    assert anatomy.resolve_targets(["lm_head"]).modules == ("lm_head",)
    counted = trainable_parameters(anatomy, "lora", [query, "lm_head"], 3)
    assert counted == peft_counts(kind, LoraConfig(r=3, target_modules=[query, "lm_head"]))
    assert counted - trainable_parameters(anatomy, "lora", [query], 3) == 3 * (32 + 64)


KINDS = ("llama", "llama-biased", "qwen2", "qwen3", "gemma3", "phi3", "gpt2", "gpt_neox", "opt", "t5")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_ranks_by_patterns_in_some_layers(data, anatomy_of):
    """Any names, layer numbers and patterns: PEFT trains as many parameters as are counted."""
    from peft import LoraConfig

    kind, method = data.draw(st.sampled_from(KINDS)), data.draw(st.sampled_from(["lora", "dora"]))
    anatomy = anatomy_of(kind)
    linear = [m for m in anatomy.modules if m.reachable]
    names = st.sampled_from(sorted({end for m in linear for end in (m.leaf, m.path)}))
    modules = data.draw(st.lists(names, min_size=1, max_size=4, unique=True))
    layers = data.draw(st.none() | st.lists(st.integers(0, 1), min_size=1, max_size=2))
    patterns = names | st.sampled_from([r".*\.0\..*", r".*\.1\.(self_attn|attn)\..*", "[qk]_proj", "_proj", ".*"])
    ranks = data.draw(st.dictionaries(patterns, st.integers(1, 9), max_size=4))
    bias = data.draw(st.sampled_from(["none", "lora_only"]))
    counted = trainable_parameters(anatomy, method, modules, 3, bias, rank_pattern=ranks, layers=layers)
    assume(anatomy.targeted(modules, layers))
    config = LoraConfig(
        r=3,
        target_modules=modules,
        bias=bias,
        use_dora=method == "dora",
        layers_to_transform=layers,
        rank_pattern=ranks,
    )
    assert counted == peft_counts(kind, config)


@pytest.mark.parametrize("kind", MIXTURES)
def test_lora_on_fused_experts(kind, anatomy_of):
    from peft import LoraConfig

    anatomy = anatomy_of(kind)
    parameters = ["experts.gate_up_proj", "experts.down_proj"]
    for named in (parameters, parameters[:1], ["layers.1.mlp.experts.down_proj"]):
        config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], target_parameters=named)
        counted = trainable_parameters(anatomy, "lora", ["q_proj", "v_proj"], 4, target_parameters=named)
        assert counted == peft_counts(kind, config)
    smaller = dict.fromkeys(parameters, 2)
    config = LoraConfig(r=4, target_modules=["q_proj"], target_parameters=parameters, rank_pattern=smaller)
    counted = trainable_parameters(anatomy, "lora", ["q_proj"], 4, target_parameters=parameters, expert_r=2)
    assert counted == peft_counts(kind, config)
    assert {p.path.rpartition(".")[2] for p in anatomy.expert_parameters} == {"gate_up_proj", "down_proj"}


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_ranks_of_fused_experts_by_patterns(data, anatomy_of):
    from peft import LoraConfig

    anatomy = anatomy_of(data.draw(st.sampled_from(MIXTURES)))
    kind = {"MixtralForCausalLM": "mixtral", "Qwen3MoeForCausalLM": "qwen3_moe"}.get(anatomy.architecture, "gpt_oss")
    every = sorted({end for p in anatomy.expert_parameters for end in (p.leaf, p.name, p.path)})
    named = data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=3, unique=True))
    patterns = st.sampled_from([*every, "q_proj", r".*\.0\..*", "down_proj|q_proj"])
    ranks = data.draw(st.dictionaries(patterns, st.integers(1, 9), max_size=3))
    rank = data.draw(st.integers(1, 5))
    counted = trainable_parameters(
        anatomy, "lora", ["q_proj"], 3, rank_pattern=ranks, target_parameters=named, expert_r=rank
    )
    last = {name: rank for name in named if name not in ranks}
    config = LoraConfig(r=3, target_modules=["q_proj"], target_parameters=named, rank_pattern={**ranks, **last})
    assert counted == peft_counts(kind, config)


@pytest.mark.parametrize("kind", TINY)
def test_dora_and_adalora(kind, anatomy_of):
    from peft import AdaLoraConfig, LoraConfig

    anatomy = anatomy_of(kind)
    modules = anatomy.resolve_targets("all-linear").modules
    dora = LoraConfig(r=4, target_modules=list(modules), use_dora=True, bias="lora_only")
    assert trainable_parameters(anatomy, "dora", modules, 4, "lora_only") == peft_counts(kind, dora)
    adalora = AdaLoraConfig(init_r=6, target_r=4, total_step=10, target_modules=list(modules), bias="all")
    assert trainable_parameters(anatomy, "adalora", modules, 6, "all") == peft_counts(kind, adalora)


@pytest.mark.parametrize("kind", PREFIXED)
def test_prefix_tuning(kind, anatomy_of):
    from peft import PrefixTuningConfig

    anatomy, task = anatomy_of(kind), "SEQ_2_SEQ_LM" if kind == "t5" else "CAUSAL_LM"
    plain = PrefixTuningConfig(task_type=task, num_virtual_tokens=5)
    assert trainable_parameters(anatomy, "prefix", [], 0, virtual_tokens=5) == peft_counts(kind, plain)
    made = PrefixTuningConfig(task_type=task, num_virtual_tokens=5, prefix_projection=True, encoder_hidden_size=7)
    counted = trainable_parameters(
        anatomy, "prefix", [], 0, virtual_tokens=5, prefix_projection=True, encoder_hidden_size=7
    )
    assert counted == peft_counts(kind, made)
    default = PrefixTuningConfig(task_type=task, num_virtual_tokens=5, prefix_projection=True)
    counted = trainable_parameters(anatomy, "prefix", [], 0, virtual_tokens=5, prefix_projection=True)
    assert counted == peft_counts(kind, default)


@pytest.mark.parametrize("kind", TINY)
def test_full_is_every_parameter(kind, anatomy_of):
    import torch

    with torch.device("meta"):
        model = build(kind)
    assert trainable_parameters(anatomy_of(kind), "full", [], 0) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("labels", [2, 3, 7])
def test_a_classifier_is_what_scikit_learn_fits(labels, anatomy_of):
    import numpy as np
    from sklearn.svm import LinearSVC

    answers = np.arange(28) % labels
    fitted = LinearSVC().fit(np.random.default_rng(0).normal(size=(28, 32)), answers)
    counted = trainable_parameters(anatomy_of("llama"), "classifier", [], 0, labels=labels)
    assert counted == fitted.coef_.size + fitted.intercept_.size
    assert trainable_parameters(anatomy_of("llama"), "classifier", [], 0, labels=labels, features=10) < counted


def test_a_prompt_trains_nothing(anatomy_of):
    assert trainable_parameters(anatomy_of("llama"), "prompt", ["q_proj"], 8) == 0


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("loha", {}, f"no method is called 'loha'; one of {', '.join(METHODS)}"),
        ("dora", {"target_parameters": ["experts.down_proj"]}, "dora does not take target_parameters"),
        ("prefix", {}, "a prefix of 0 tokens"),
        ("classifier", {"labels": 1}, "a classifier of 1 labels"),
    ],
)
def test_what_cannot_be_counted_is_refused(method, options, message, anatomy_of):
    with pytest.raises(ValueError, match=message):
        trainable_parameters(anatomy_of("llama"), method, [], 8, **options)


# Per-rank counts as the authors of "LoRA Without Regret" publish them with their recipes: mlp, attention, unembedding.
@pytest.mark.parametrize(
    ("name", "mlp", "attention", "unembedding"),
    [
        ("llama-3.1-8b", 1_769_472, 851_968, 132_352),
        ("llama-3.2-1b", 491_520, 212_992, 130_304),
        ("qwen3-8b", 1_769_472, 958_464, 156_032),
    ],
)
def test_counts_of_known_bases_are_the_published_ones(name, mlp, attention, unembedding, known):
    anatomy = read_anatomy(known(name))
    for names, counted in ((["mlp"], mlp), (["self_attn"], attention), (["lm_head"], unembedding)):
        modules = anatomy.resolve_targets(names).modules
        for r in (1, 32, 256):
            assert trainable_parameters(anatomy, "lora", modules, r) == r * counted
    every = anatomy.resolve_targets(["all-linear", "lm_head"]).modules
    assert trainable_parameters(anatomy, "lora", every, 1) == mlp + attention + unembedding


# Worked out from the shapes: (in + out) of each projection, times layers; for experts times experts.
@pytest.mark.parametrize(
    ("name", "all_linear", "experts"),
    [
        ("llama-3.1-70b", 80 * (2 * 16384 + 2 * 9216 + 3 * 36864), 0),
        ("mistral-7b-v0.1", 32 * (2 * 8192 + 2 * 5120 + 3 * 18432), 0),
        ("qwen3-30b-a3b", 48 * (2 * (2048 + 4096) + 2 * (2048 + 512)), 48 * 128 * ((2048 + 1536) + (768 + 2048))),
        ("mixtral-8x7b", 32 * (2 * 8192 + 2 * 5120), 32 * 8 * ((4096 + 28672) + (14336 + 4096))),
        ("gemma-3-1b", 26 * ((1152 + 1024) * 2 + (1152 + 256) * 2 + 3 * (1152 + 6912)), 0),
        ("phi-3-mini", 32 * ((3072 + 9216) + 2 * 3072 + (3072 + 16384) + (8192 + 3072)), 0),
        ("pythia-160m", 12 * ((768 + 2304) + 2 * 768 + 2 * (768 + 3072)), 0),
        ("gpt2", 12 * ((768 + 2304) + 2 * 768 + 2 * (768 + 3072)), 0),
        ("t5-small", 6 * 3 * 4 * 1024 + 12 * 2 * (512 + 2048), 0),
        ("distilbert-base-uncased", 6 * (4 * 1536 + 2 * 3840), 0),
    ],
)
def test_counts_of_known_shapes(name, all_linear, experts, known):
    anatomy = read_anatomy(known(name))
    modules = anatomy.resolve_targets("all-linear").modules
    assert trainable_parameters(anatomy, "lora", modules, 16) == 16 * all_linear
    parameters = ["experts.gate_up_proj", "experts.down_proj"]
    both = trainable_parameters(anatomy, "lora", modules, 16, target_parameters=parameters, expert_r=2)
    assert both == 16 * all_linear + 2 * experts
