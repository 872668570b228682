"""The self-test: every promise that can be tried on one base, in the order of what it needs."""

from __future__ import annotations

import gc
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from rankwise.data.batch import pack, split_evenly
from rankwise.data.render import Rendered
from rankwise.events import Observer
from rankwise.facts import read_machine
from rankwise.model.attach import attach_existing
from rankwise.model.load import load_base
from rankwise.selftest.gradients import (
    Step,
    adapted_base,
    gradient_difference,
    logits_difference,
    our_logits,
    our_step,
    plain_logits,
    plain_peft,
    plain_step,
)
from rankwise.selftest.report import Check, SelfTest
from rankwise.selftest.runs import KILLED_AFTER, same_files, train_killed, train_through
from rankwise.selftest.sample import SAVE_STEPS, STEPS, Sample, prepare_sample

# All in float32. Found on smollm2-135m, at most: loss 2e-6, gradient 2e-4 (attention's kernels round differently),
# logits 2e-6. A fault of 1% in one tensor's gradient is ten times the tolerance.
LOSS_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-3
LOGITS_TOLERANCE = 1e-4
BFLOAT16_TOLERANCE = 0.1
"""For information; on smollm2-135m 0.043 were found, with PEFT's own layers 0.044."""
LOGIT_ROWS = 3
STAGES = (
    "one step, cut in several ways",
    "saved, loaded and merged",
    "transformers and PEFT alone",
    "a run in one go",
    "the same run, killed and resumed",
    "the same run once more",
    "bfloat16",
)


def run_selftest(model: str, observer: Observer) -> SelfTest:
    """Try the promises on `model`. Raises what `rankwise train` raises for a base that cannot be trained."""
    began = time.perf_counter()
    checks: list[Check] = []
    with tempfile.TemporaryDirectory(prefix="rankwise-selftest-") as folder:
        sample = prepare_sample(model, Path(folder), observer)
        torch.set_num_threads(sample.settings.threads)
        stage = _stages(observer)
        adapter = Path(folder) / "adapter"
        with torch.random.fork_rng():
            cut, logits = _cuts(sample, adapter, checks, stage)
            _loaded(sample, adapter, logits, checks)
            stage()
            exact = _plain(sample, adapter, cut, logits, checks)
            stage()
            _runs(sample, Path(folder), checks, stage)
            _bfloat16(sample, adapter, exact, checks)
            stage()
    return SelfTest(
        model=sample.base.name,
        device=sample.settings.device,
        threads=sample.settings.threads,
        rows=len(sample.rows),
        tokens=sum(len(row.ids) for row in sample.rows),
        seconds=time.perf_counter() - began,
        versions=read_machine().versions,
        checks=tuple(checks),
    )


def _stages(observer: Observer) -> Callable[[], None]:
    """Tells the observer that the next stage begins, each time it is called; the first begins now."""
    done = -1

    def advance() -> None:
        nonlocal done
        done += 1
        gc.collect()  # a model that is done with must make room for the next
        name = STAGES[done] if done < len(STAGES) else "done"
        observer({"event": "selftest", "time": time.time(), "stage": name, "done": done, "of": len(STAGES)})

    advance()
    return advance


def _cuts(
    sample: Sample, adapter: Path, checks: list[Check], stage: Callable[[], None]
) -> tuple[dict[str, Step], torch.Tensor]:
    """Our own ways to do one step, against each other; leaves the adapter in `adapter`, returns them and its logits."""
    settings, rows = sample.settings, sample.rows
    assert settings.lora is not None  # the sample's own recipe asks for one
    model = adapted_base(
        sample.base.path, sample.base.name, settings.lora, "float32", settings.device, settings.loop.seed
    )
    cut = {f"{len(rows) // n} x {n}": our_step(model, _parts(rows, n), share=False) for n in (1, 2, 4, len(rows))}
    whole = f"{len(rows)} x 1"
    shared = our_step(model, [rows], share=True)
    others = [name for name in cut if name != whole]
    checks += _same_step(
        "batch x accumulation: one step",
        [(cut[name], cut[whole]) for name in others],
        ", ".join(cut),
    )
    tokens, computed = sum(len(row.ids) for row in rows), len(pack(rows, True).ids)
    pairs = [(shared, cut[whole])] if computed < tokens else []
    checks += _same_step("a shared prefix changes nothing", pairs, f"{computed} of {tokens} tokens computed")
    logits = our_logits(model, rows[:LOGIT_ROWS])
    model.save_pretrained(str(adapter), save_embedding_layers=False)
    stage()
    model.merge_adapter()
    merged = our_logits(model, rows[:LOGIT_ROWS])
    checks.append(
        Check("saved = loaded = merged", "logits, merged", logits_difference(merged, logits), LOGITS_TOLERANCE)
    )
    return {"packed": cut[whole], "alone": cut[f"1 x {len(rows)}"]}, logits


def _parts(rows: list[Rendered], count: int) -> list[list[Rendered]]:
    return [[rows[i] for i in part] for part in split_evenly(range(len(rows)), count)]


def _same_step(promise: str, pairs: list[tuple[Step, Step]], detail: str) -> list[Check]:
    """A check of the loss and one of the gradient: the largest difference of any pair."""
    if not pairs:
        return [Check(promise, "gradient, relative", float("nan"), GRADIENT_TOLERANCE, f"nothing to compare: {detail}")]
    loss = max(abs(ours.loss - theirs.loss) for ours, theirs in pairs)
    gradient, tensor = max(gradient_difference(ours.gradient, theirs.gradient) for ours, theirs in pairs)
    return [
        Check(promise, "loss", loss, LOSS_TOLERANCE, detail),
        Check(promise, "gradient, relative", gradient, GRADIENT_TOLERANCE, f"most in {_short(tensor)}"),
    ]


def _short(tensor: str) -> str:
    return tensor.removeprefix("base_model.model.").removesuffix(".default.weight")


def _loaded(sample: Sample, adapter: Path, logits: torch.Tensor, checks: list[Check]) -> None:
    base = load_base(sample.base.path, "float32", sample.settings.device)
    loaded = our_logits(attach_existing(base, adapter, trainable=False), sample.rows[:LOGIT_ROWS])
    difference = logits_difference(loaded, logits)
    checks.append(Check("saved = loaded = merged", "logits, loaded", difference, LOGITS_TOLERANCE))


def _plain(
    sample: Sample, adapter: Path, ours: dict[str, Step], logits: torch.Tensor, checks: list[Check]
) -> dict[str, torch.Tensor]:
    """Against transformers and PEFT without rankwise; returns their gradient."""
    rows = sample.rows
    model = plain_peft(sample.base.path, adapter, "float32", sample.settings.device)
    alone = plain_logits(model, rows[:LOGIT_ROWS])
    checks.append(
        Check("saved = loaded = merged", "logits, PEFT alone", logits_difference(logits, alone), LOGITS_TOLERANCE)
    )
    padded, single = plain_step(model, [rows]), plain_step(model, _parts(rows, len(rows)))
    tokens, longest = sum(len(row.ids) for row in rows), max(len(row.ids) for row in rows)
    checks += _same_step(
        "packed rows = padded rows", [(ours["packed"], padded)], f"{tokens} tokens, {longest * len(rows)} padded"
    )
    checks += _same_step("our LoRA layers = PEFT's own", [(ours["alone"], single)], "row by row")
    return padded.gradient


def _runs(sample: Sample, folder: Path, checks: list[Check], stage: Callable[[], None]) -> None:
    through = train_through(sample, folder / "through")
    stage()
    resumed = train_killed(sample, folder / "killed")
    stage()
    again = train_through(sample, folder / "again")
    stage()
    told = f"{STEPS} steps; killed after {KILLED_AFTER}, resumed after {SAVE_STEPS}"
    checks.append(same_files("resumed = never stopped", resumed, through, told))
    checks.append(same_files("same seed = same adapter", again, through, f"{STEPS} steps, dropout on"))


def _bfloat16(sample: Sample, adapter: Path, exact: dict[str, torch.Tensor], checks: list[Check]) -> None:
    """How far a bfloat16 base takes the gradient from float32's, ours and PEFT's own: for information."""
    settings, rows = sample.settings, sample.rows
    base = load_base(sample.base.path, "bfloat16", settings.device)
    ours = our_step(attach_existing(base, adapter, trainable=True), [rows], share=True).gradient
    del base
    gc.collect()
    theirs = plain_step(plain_peft(sample.base.path, adapter, "bfloat16", settings.device), [rows]).gradient
    difference, yardstick = _whole_difference(ours, exact), _whole_difference(theirs, exact)
    detail = f"PEFT's own: {yardstick:.1e}"
    promise = "a bfloat16 base is near float32"
    checks.append(Check(promise, "gradient, relative", difference, BFLOAT16_TOLERANCE, detail, decides=False))


def _whole_difference(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """|ours - theirs| / |theirs| over all tensors at once."""
    apart = sum(float((ours[name] - theirs[name]).square().sum()) for name in theirs)
    return math.sqrt(apart / sum(float(gradient.square().sum()) for gradient in theirs.values()))
