"""Plans made from recipe text on the tiny base."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise.data.corpus import Corpus, build_corpus
from rankwise.data.render import Renderer
from rankwise.data.request import corpus_request
from rankwise.facts import Anatomy, Located, Machine, Measurement, read_anatomy
from rankwise.plan import Continued, Plan, Prepared, advise
from rankwise.recipe import Asked, parse_recipe
from rankwise.recipe.domains import find_domain

PlanOf = Callable[..., Plan]


@pytest.fixture
def rows_file(tmp_path: Path) -> Path:
    """Forty text/label rows."""
    file = tmp_path / "rows.jsonl"
    rows = [{"text": f"the tenant pays rent in month {i}", "label": "good" if i % 2 else "bad"} for i in range(40)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(scope="session")
def machine() -> Machine:
    return Machine(
        cpu="a processor",
        physical_cores=2,
        usable_cores=2,
        memory_bytes=8 << 30,
        cpu_flags=(),
        gpus=(),
        platform="Linux",
        python="3.11",
        versions={"torch": "2.13.0+cpu"},
    )


@pytest.fixture
def corpus_of(tiny_base: Path) -> Callable[[Asked], Corpus]:
    def build(asked: Asked, base: Path = tiny_base) -> Corpus:
        domain = None if asked.recipe.domain is None else find_domain(asked.recipe.domain)
        return build_corpus(corpus_request(asked, domain), Renderer(base), read_anatomy(base).max_length)

    return build


@pytest.fixture
def plan_of(
    tiny_base: Path, tmp_path: Path, rows_file: Path, machine: Machine, corpus_of: Callable[..., Corpus]
) -> PlanOf:
    """The plan of `text` with `overrides`; data.train is `rows_file` unless the text has a data section."""

    def build(
        text: str = "",
        *overrides: str,
        base: Path = tiny_base,
        measured: Measurement | None = None,
        continued: Continued | None = None,
        machine: Machine = machine,
    ) -> Plan:
        if "data:" not in text:
            text += f"\ndata: {{train: {rows_file.name}}}\n"
        asked = parse_recipe(text, "recipe.yaml", tmp_path, overrides)
        domain = None if asked.recipe.domain is None else find_domain(asked.recipe.domain)
        anatomy, corpus = read_anatomy(base), corpus_of(asked, base)
        located = Located("folder", base.name, str(base), base, True)
        prepared = Prepared(located, base, anatomy, Renderer(base), domain, corpus, continued)
        return advise(asked, prepared, machine, measured)

    return build


@pytest.fixture(scope="session")
def tiny_anatomy(tiny_base: Path) -> Anatomy:
    return read_anatomy(tiny_base)


@pytest.fixture(scope="session")
def biased_base(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base with biases on its attention projections."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("bases") / "biased-llama"
    shutil.copytree(tiny_base, folder)
    torch.manual_seed(1)
    config = LlamaConfig.from_pretrained(tiny_base)
    config.attention_bias = True
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
