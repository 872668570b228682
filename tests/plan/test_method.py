"""The methods and their costs, against PEFT's own models and closed forms."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise.data.corpus import Corpus, build_corpus
from rankwise.data.render import Renderer
from rankwise.data.request import corpus_request
from rankwise.facts import Anatomy, Located, Machine, read_anatomy
from rankwise.facts.counts import METHODS
from rankwise.plan import Prepared
from rankwise.plan.advise import Advised, weigh
from rankwise.plan.memory import NF4_BYTES
from rankwise.plan.method import VIRTUAL_TOKENS, Method, weigh_methods
from rankwise.recipe import parse_recipe

Weighed = tuple[Advised, Anatomy, Corpus, dict[str, Method]]
BODY = 2 * (32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 64)
"""Weights of the tiny base's linear layers."""


@pytest.fixture
def weigh_all(tiny_base: Path, tmp_path: Path, rows_file: Path, machine: Machine) -> Callable[..., Weighed]:
    def build(*overrides: str, machine: Machine = machine, rows: Path = rows_file) -> Weighed:
        asked = parse_recipe(f"data: {{train: {rows.name}}}", "recipe.yaml", tmp_path, overrides)
        anatomy, renderer = read_anatomy(tiny_base), Renderer(tiny_base)
        corpus = build_corpus(corpus_request(asked, None), renderer, anatomy.max_length)
        located = Located("folder", "tiny", str(tiny_base), tiny_base, True)
        prepared = Prepared(located, tiny_base, anatomy, renderer, None, corpus, None)
        advised = weigh(asked, prepared, machine, None)
        methods = weigh_methods(advised.plan, advised.situation, anatomy, corpus, machine)
        return advised, anatomy, corpus, {method.name: method for method in methods}

    return build


def test_every_method_is_there_and_built(weigh_all: Callable[..., Weighed]) -> None:
    _, _, _, methods = weigh_all()
    assert tuple(methods) == METHODS
    assert all(method.built for method in methods.values())


def test_counts_are_what_peft_makes(weigh_all: Callable[..., Weighed], tiny_base: Path) -> None:
    from peft import AdaLoraConfig, LoraConfig, PrefixTuningConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    advised, _, _, methods = weigh_all("lora.r=6", "lora.target_modules=[q_proj, v_proj, down_proj]")
    targets = ["q_proj", "v_proj", "down_proj"]
    configs = {
        "lora": LoraConfig(r=6, target_modules=targets),
        "dora": LoraConfig(r=6, target_modules=targets, use_dora=True),
        "adalora": AdaLoraConfig(init_r=9, target_modules=targets, total_step=10, tinit=1, tfinal=1),
        "prefix": PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL_TOKENS),
    }
    for name, config in configs.items():
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_base), config)
        assert methods[name].trainable == sum(p.numel() for p in model.parameters() if p.requires_grad), name
    assert methods["lora"].trainable == methods["qlora"].trainable == advised.plan.trainable_parameters
    assert methods["full"].trainable == advised.plan.total_parameters
    assert methods["prompt"].trainable == 0
    assert methods["classifier"].trainable == 32 + 1  # of two labels one is enough


def test_memory_differs_from_the_plans_by_what_is_held(weigh_all: Callable[..., Weighed]) -> None:
    advised, anatomy, _, methods = weigh_all()
    plan, every = advised.plan, anatomy.total_parameters
    assert methods["lora"].memory_bytes == plan.memory_bytes
    trained = 16 * (every - plan.trainable_parameters)
    assert methods["full"].memory_bytes == plan.memory_bytes + trained  # its best weights lie where the base lay
    saved = plan.memory_bytes - (methods["qlora"].memory_bytes or 0)
    assert saved == pytest.approx((4 - NF4_BYTES) * BODY - 4 * 32 * 64, abs=1)  # one layer is unpacked at a time
    dora, lora = methods["dora"], methods["lora"]
    assert dora.memory_bytes - lora.memory_bytes == 16 * (dora.trainable - lora.trainable)  # type: ignore[operator]


def test_time_is_the_closed_form(weigh_all: Callable[..., Weighed]) -> None:
    """For square matrices and all layers: (3 N^2) / (2 N^2 + 6 N r), the published ratio upside down."""
    advised, anatomy, corpus, methods = weigh_all("lora.r=4", "training.num_train_epochs=2")
    head = anatomy.hidden_size * anatomy.vocab_size * corpus.supervised_tokens / sum(corpus.train_lengths)
    lora = 2 * (BODY + head) + 3 * advised.plan.trainable_parameters
    assert methods["lora"].time == 1
    assert methods["full"].time == pytest.approx(3 * (BODY + head) / lora)
    assert methods["prefix"].time == pytest.approx(2 * (BODY + head) / lora)
    assert methods["classifier"].time == pytest.approx(BODY / 2 / lora)
    assert methods["prompt"].time == 0
    assert [name for name, method in methods.items() if method.time is None] == ["qlora", "dora", "adalora"]


def test_what_does_not_fit_is_said(weigh_all: Callable[..., Weighed], machine: Machine) -> None:
    advised, _, _, methods = weigh_all()
    between = ((methods["full"].memory_bytes or 0) + advised.plan.memory_bytes) // 2
    _, _, _, methods = weigh_all(machine=dataclasses.replace(machine, memory_bytes=between))
    fits = {name: method.fits for name, method in methods.items()}
    assert (fits["lora"], fits["full"]) == ((True, False) if between > advised.plan.memory_bytes else (False, True))


def test_without_labels_there_is_nothing_to_classify(weigh_all: Callable[..., Weighed], tmp_path: Path) -> None:
    rows = tmp_path / "open.jsonl"
    rows.write_text("".join(f'{{"instruction": "Say it {i}.", "output": "it {i}"}}\n' for i in range(20)))
    _, _, _, methods = weigh_all(rows=rows)
    classifier = methods["classifier"]
    assert not classifier.applies and classifier.trainable is classifier.memory_bytes is classifier.time is None
    assert "nothing to classify" in classifier.remark


def test_doctrines_speak_for_and_against(weigh_all: Callable[..., Weighed]) -> None:
    _, _, _, methods = weigh_all()
    assert {"working-notes", "honest-choice"} <= {said.doctrine for said in methods["lora"].advised}
    assert not methods["lora"].objections
    for name in ("full", "adalora", "prefix", "prompt"):
        assert "honest-choice" in {said.doctrine for said in methods[name].objections}, name
    assert all(said.source for method in methods.values() for said in (*method.advised, *method.objections))
