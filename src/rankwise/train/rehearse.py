"""A rehearsal of a planned run, in a process of its own, so that its peak of memory is its own too:

    python -m rankwise.train.rehearse FOLDER BASE SECONDS

FOLDER holds plan.json and data.json, as a run folder does; BASE is the base's folder. The step with the most tokens
comes first, then steps of the run drawn at random until SECONDS are spent, a held-out evaluation and a checkpoint; at
last a causal base reads training rows, for their description length.
Prints one JSON object, the fields of `plan.rehearsal.Rehearsal`. Nothing is kept.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel

from rankwise.data.batch import split_evenly, steps
from rankwise.data.corpus import Corpus, CorpusRequest, build_corpus
from rankwise.data.plain import make_renderer
from rankwise.data.render import Rendered
from rankwise.errors import PlanError
from rankwise.facts import identify_base, read_anatomy
from rankwise.files import read_json
from rankwise.model.describe import describe
from rankwise.model.loss import nothing
from rankwise.plan import Plan
from rankwise.plan.rehearsal import Rehearsal
from rankwise.train.kept import looked_at
from rankwise.train.objectives import Objective
from rankwise.train.opened import open_model
from rankwise.train.optim import make_optimizer, set_learning_rate
from rankwise.train.run import peak_memory_bytes
from rankwise.train.settings import BaseFolder, read_plan
from rankwise.train.state import Progress, save_checkpoint, snapshot, trainable

LEAST_STEPS, MOST_STEPS = 4, 40
DESCRIBED_ROWS = 128
"""Most training rows that the base reads; of more, as many are drawn."""


def rehearse(plan: Plan, corpus: Corpus, base: BaseFolder, seconds: float) -> Rehearsal:
    """Time what the run will do; the weights it makes are thrown away."""
    began = time.perf_counter()
    settings = read_plan(plan, corpus)
    if settings.trained_by_trl:
        raise PlanError(f"only supervised steps can be rehearsed, and objective is {plan['objective']}")
    model = open_model(settings, plan, base)
    load_seconds = time.perf_counter() - began
    loop, rows, objective = settings.loop, corpus.train_rendered, settings.objective
    optimizer = make_optimizer(trainable(model), settings.optim)
    set_learning_rate(optimizer, 0.0)  # as much work, and no step can ruin the next

    def cut(chosen: Sequence[int]) -> list[list[Rendered]]:
        return [[rows[i] for i in part] for part in split_evenly(chosen, loop.gradient_accumulation_steps)]

    def step_seconds(chosen: Sequence[int]) -> float:
        began = time.perf_counter()
        model.train()
        objective.backward(model, cut(chosen), nothing)
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], settings.optim.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - began

    every = list(steps(len(rows), loop.step_rows, loop.seed, 0, loop.num_steps))
    tokens = [sum(map(objective.tokens, cut(chosen))) for chosen in every]
    worst = max(range(len(every)), key=tokens.__getitem__)
    step_seconds(every[worst])  # the first is slow for reasons of its own, so it counts for memory alone
    timed: list[tuple[int, float]] = []
    for number in cycle(np.random.default_rng(loop.seed).permutation(len(every))):
        timed.append((tokens[number], step_seconds(every[number])))
        if len(timed) >= LEAST_STEPS and (
            len(timed) >= MOST_STEPS or time.perf_counter() - began - load_seconds > seconds
        ):
            break

    held_out = looked_at(corpus)
    evaluation_tokens, evaluation_seconds = _time_evaluation(model, held_out, objective, loop.micro_rows)
    with tempfile.TemporaryDirectory() as folder:
        before = time.perf_counter()
        save_checkpoint(Path(folder), model, optimizer, Progress(), snapshot(model))
        save_seconds = time.perf_counter() - before
    peak = peak_memory_bytes(settings.device)
    description = None
    base_is_here = isinstance(model, PeftModel) or settings.adapter is None  # the steps above moved no weight
    if settings.task == "causal_lm" and base_is_here:
        model.eval()
        with model.disable_adapter() if isinstance(model, PeftModel) else nullcontext():
            found = describe(model, rows, loop.seed, DESCRIBED_ROWS)
        description = (found.bits, found.low, found.high, found.rows_used)
    return Rehearsal(
        load_seconds=load_seconds,
        step_tokens=[count for count, _ in timed],
        step_seconds=[taken for _, taken in timed],
        run_tokens=sum(tokens),
        evaluation_tokens_timed=evaluation_tokens,
        evaluation_seconds=evaluation_seconds,
        evaluation_tokens=_all_tokens(held_out, objective, loop.micro_rows),
        evaluations=-(-loop.num_steps // loop.eval_steps),
        save_seconds=save_seconds,
        saves=-(-loop.num_steps // loop.save_steps),
        peak_memory_bytes=peak,
        description=description,
    )


def _time_evaluation(
    model: torch.nn.Module, rows: Sequence[Rendered], objective: Objective, batch_rows: int
) -> tuple[int, float]:
    """Tokens and seconds of the batch of the longest rows and of one from the middle."""
    ordered = sorted(rows, key=lambda row: -len(row.ids))
    middle = max(batch_rows, len(ordered) // 2)
    batches = [batch for batch in (ordered[:batch_rows], ordered[middle : middle + batch_rows]) if batch]
    model.eval()
    began = time.perf_counter()
    for batch in batches:
        objective.mean_loss(model, batch, batch_rows, nothing)
    seconds = time.perf_counter() - began
    return sum(map(objective.tokens, batches)), seconds


def _all_tokens(rows: Sequence[Rendered], objective: Objective, batch_rows: int) -> int:
    ordered = sorted(rows, key=lambda row: -len(row.ids))
    return sum(objective.tokens(ordered[i : i + batch_rows]) for i in range(0, len(ordered), batch_rows))


def main(folder: Path, base: Path, seconds: float) -> None:
    plan = Plan.model_validate(read_json(folder / "plan.json"))
    request = CorpusRequest(**read_json(folder / "data.json"))
    anatomy = read_anatomy(base)
    corpus = build_corpus(request, make_renderer(base, anatomy.kind), anatomy.max_length)
    made = rehearse(plan, corpus, BaseFolder(base.name, base, identify_base(base)), seconds)
    print(json.dumps(asdict(made)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
