"""What the self-test works on: the base, a few bundled rows of different lengths, and a plan of a few steps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from rankwise.data.corpus import Corpus
from rankwise.data.render import Rendered
from rankwise.errors import BaseError
from rankwise.events import Observer
from rankwise.facts import identify_base, read_machine
from rankwise.files import write_text
from rankwise.plan import Plan, advise, prepare
from rankwise.recipe import parse_recipe
from rankwise.recipe.domains import DOMAINS
from rankwise.train.settings import BaseFolder, Settings, read_plan

DOMAIN = "legal"
"""Labels, so answers are short; one prompt, so rows have much in common."""
CANDIDATES, TRAIN_ROWS, HELD_OUT_ROWS = 64, 8, 2
STEPS, SAVE_STEPS = 4, 2

# Dropout makes a run depend on the random state, which a resumed run must take up where it was.
RECIPE = """\
model: {model}
domain: {domain}
data: {{train: {train}, held_out: {held_out}, too_long: truncate}}
lora: {{r: 8, lora_alpha: 16, lora_dropout: 0.1, target_modules: all-linear}}
training:
  max_steps: {steps}
  per_device_train_batch_size: 2
  gradient_accumulation_steps: 2
  learning_rate: 1.0e-3
  bf16: false
  eval_steps: {save_steps}
  save_steps: {save_steps}
  logging_steps: 1
  early_stopping_patience: null
"""


@dataclass(frozen=True)
class Sample:
    """A base, rows for it, and how they will be trained on."""

    plan: Plan
    corpus: Corpus
    base: BaseFolder
    settings: Settings

    @property
    def rows(self) -> list[Rendered]:
        return list(self.corpus.train_rendered)


def prepare_sample(model: str, folder: Path, observer: Observer) -> Sample:
    """Lay the rows out in `folder`, read the base and plan; raises what `rankwise train` would raise for this base."""
    domain = DOMAINS[DOMAIN]
    assert domain.train is not None and domain.held_out is not None
    train, held_out = folder / "train.jsonl", folder / "held_out.jsonl"
    write_text(train, _spread_lengths(domain.train, TRAIN_ROWS))
    write_text(held_out, _spread_lengths(domain.held_out, HELD_OUT_ROWS))
    text = RECIPE.format(
        model=json.dumps(model),
        domain=DOMAIN,
        train=json.dumps(str(train)),
        held_out=json.dumps(str(held_out)),
        steps=STEPS,
        save_steps=SAVE_STEPS,
    )
    asked = parse_recipe(text, "<selftest>", Path.cwd())
    prepared = prepare(asked, observer, to_train=True)
    anatomy = prepared.anatomy
    if anatomy.task != "causal_lm":
        told = f"{anatomy.architecture} is planned as {anatomy.task}"
        raise BaseError(f"{model}: {told}, and the self-test tries causal bases; give one")
    plan = advise(asked, prepared, read_machine(), None)
    base = BaseFolder(prepared.located.name, prepared.path, identify_base(prepared.path))
    return Sample(plan, prepared.corpus, base, read_plan(plan, prepared.corpus))


def _spread_lengths(file: Path, count: int) -> str:
    """So many of the file's first rows, from the shortest to nearly the longest."""
    lines = sorted(file.read_text(encoding="utf-8").splitlines(keepends=True)[:CANDIDATES], key=len)
    return "".join(lines[:: CANDIDATES // count][:count])
