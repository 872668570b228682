"""The loop: gradients do not depend on the cut, stopping leaves no trace, and ruin is never saved."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rankwise.data.batch import epoch_order, split_evenly, steps
from rankwise.data.render import Rendered
from rankwise.errors import TrainingError
from rankwise.events import EventLog, read_events
from rankwise.model.loss import mean_loss
from rankwise.signals import Stop
from rankwise.train.loop import LN2, Finished, LoopSettings, _seconds_left, train
from rankwise.train.objectives import backward_sft
from rankwise.train.optim import OptimSettings
from rankwise.train.state import Progress, committed, latest_checkpoint, restore, snapshot

LOOP = LoopSettings(
    num_steps=8,
    step_rows=4,
    gradient_accumulation_steps=2,
    eval_steps=3,
    early_stopping_patience=None,
    save_steps=2,
    logging_steps=1,
    shared_prefix=True,
    seed=0,
)
OPTIM = OptimSettings("adamw_torch", 5e-3, 0.01, 0.9, 0.999, 1e-8, "cosine", 0.1, 1.0)
Rows = list[Rendered]
MakeModel = Callable[..., torch.nn.Module]


def run(
    model: torch.nn.Module,
    rows: Rows,
    folder: Path,
    loop: LoopSettings = LOOP,
    optim: OptimSettings = OPTIM,
    stop_after: int | None = None,
    resume: bool = False,
    evaluate_start: bool = False,
) -> Finished:
    """Train on all but the last three rows; a signal comes after `stop_after` steps."""
    folder.mkdir(exist_ok=True)
    stop, taken = Stop(), 0

    def count(event: dict) -> None:
        nonlocal taken
        taken += event["event"] == "step"
        if taken == stop_after:
            stop.number = 15

    log = EventLog(folder / "events.jsonl", count)
    start = latest_checkpoint(folder / "checkpoints")[0] if resume else None
    try:
        return train(model, rows[:-3], rows[-3:], loop, optim, log, folder / "checkpoints", start, stop, evaluate_start)
    finally:
        log.close()


def equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def timeless(progress: Progress) -> Progress:
    return replace(progress, seconds=0, evaluation_seconds=0)


def against_training(rows: Rows) -> Rows:
    """The same rows, but the held-out ones ask for the opposite of what is trained: they get worse and worse."""
    return [*rows[:-3], *(replace(row, ids=(*row.ids[:-7], *[300] * 7)) for row in rows[-3:])]


# -- the gradient of a step


def gradient(model: torch.nn.Module, parts: list[Rows], share: bool) -> tuple[float, torch.Tensor]:
    model.zero_grad()
    loss = float(backward_sft(model, parts, share))
    return loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def test_how_a_step_is_cut_into_forward_passes_changes_neither_loss_nor_gradient(
    rows: Rows, make_model: MakeModel
) -> None:
    model = make_model(filled=True)
    chosen = rows[:8]
    alone = [gradient(model, [[row]], False) for row in chosen]
    tokens = [row.num_supervised for row in chosen]
    loss = sum(n * a[0] for n, a in zip(tokens, alone, strict=True)) / sum(tokens)
    grad = sum(n * a[1] for n, a in zip(tokens, alone, strict=True)) / sum(tokens)
    assert float(grad.norm()) > 0.01
    for accumulation in (1, 2, 4, 8):
        for share in (False, True):
            got, got_grad = gradient(model, split_evenly(chosen, accumulation), share)
            assert got == pytest.approx(loss, abs=1e-5)
            assert float((got_grad - grad).norm() / grad.norm()) < 1e-5


def test_the_mean_is_over_tokens_not_over_rows(rows: Rows, make_model: MakeModel) -> None:
    """One row with one supervised token, another with seven: the weights are 1/8 and 7/8."""
    model = make_model(filled=True)
    last = rows[0]
    one = replace(last, supervised=(False,) * (len(last.ids) - 1) + (True,))
    seven = rows[1]
    expected = (gradient(model, [[one]], False)[0] + 7 * gradient(model, [[seven]], False)[0]) / 8
    for parts in ([[one, seven]], [[one], [seven]]):
        assert gradient(model, parts, False)[0] == pytest.approx(expected, abs=1e-6)


def test_a_first_token_cannot_be_predicted_and_does_not_count(rows: Rows, make_model: MakeModel) -> None:
    row = rows[0]
    opened = replace(row, supervised=(True, *row.supervised[1:]))
    model = make_model()
    assert gradient(model, [[opened]], False)[0] == pytest.approx(gradient(model, [[row]], False)[0], abs=1e-7)


@pytest.mark.parametrize(("batch", "accumulation"), [(8, 1), (4, 2), (2, 4), (1, 8)])
def test_a_run_depends_on_the_product_of_batch_and_accumulation(
    batch: int, accumulation: int, rows: Rows, make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model()
    # Three steps: rounding that Adam turns into signs has no time to grow.
    loop = replace(LOOP, num_steps=3, step_rows=batch * accumulation, gradient_accumulation_steps=accumulation)
    run(model, rows, tmp_path / "run", loop)
    events = [e for e in read_events(tmp_path / "run" / "events.jsonl") if e["event"] == "step"]
    reference = make_model()
    run(reference, rows, tmp_path / "reference", replace(loop, gradient_accumulation_steps=1))
    expected = [e for e in read_events(tmp_path / "reference" / "events.jsonl") if e["event"] == "step"]
    for key in ("loss", "grad_norm"):
        assert [e[key] for e in events] == pytest.approx([e[key] for e in expected], rel=1e-4)


# -- what a run does


def test_a_run_learns_logs_and_keeps_its_best_weights(rows: Rows, make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    before = mean_loss(model, rows[-3:], 4, True)
    done = run(model, rows, tmp_path, replace(LOOP, num_steps=30), replace(OPTIM, learning_rate=3e-2))
    assert (done.stopped_by, done.reason, done.progress.step) == (None, "all steps done", 30)
    events = read_events(tmp_path / "events.jsonl")
    assert [e["event"] for e in events][:2] == ["train_begin", "step"] and events[-1]["event"] == "train_end"
    losses = [e["loss"] for e in events if e["event"] == "step"]
    assert len(losses) == 30 and losses[-1] < 0.8 * losses[0]
    held = {e["step"]: e for e in events if e["event"] == "held_out"}
    assert sorted(held) == [*range(3, 31, 3)]
    best = min(held.values(), key=lambda e: e["loss"])
    assert best["loss"] < before
    assert (done.progress.best_step, done.progress.best_loss) == (best["step"], best["loss"])
    assert mean_loss(model, rows[-3:], 4, True) == pytest.approx(best["loss"], abs=1e-6)
    assert best["bits_per_token"] == pytest.approx(best["loss"] / math.log(2)) and pytest.approx(math.log(2)) == LN2
    assert done.progress.rows == 120
    assert done.progress.tokens == sum(
        len(rows[:-3][i].ids) for step in steps(8, 4, seed=0, first_step=0, num_steps=30) for i in step
    )
    assert not model.training


def test_the_first_loss_is_that_of_the_first_rows_in_order(rows: Rows, make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    first = epoch_order(8, seed=0, epoch=0)[:4]
    expected = mean_loss(model, [rows[i] for i in first], 1, False)
    run(model, rows, tmp_path, replace(LOOP, num_steps=1))
    assert next(e["loss"] for e in read_events(tmp_path / "events.jsonl") if e["event"] == "step") == pytest.approx(
        expected, abs=1e-6
    )


def test_without_improvement_it_stops_and_gives_the_best_weights(
    rows: Rows, make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model()
    against = against_training(rows)
    loop = replace(LOOP, num_steps=60, eval_steps=1, early_stopping_patience=3)
    done = run(model, against, tmp_path, loop, replace(OPTIM, learning_rate=2e-2))
    assert done.reason == "no improvement"
    assert done.progress.step == done.progress.best_step + 3 < 60
    assert mean_loss(model, against[-3:], 4, True) == pytest.approx(done.progress.best_loss, abs=1e-6)


def test_a_start_that_training_only_makes_worse_is_kept(rows: Rows, make_model: MakeModel, tmp_path: Path) -> None:
    """An adapter that was taught the held-out rows' answers goes on with rows that ask for others."""
    model, against = make_model(), against_training(rows)
    fast = replace(OPTIM, learning_rate=2e-2)
    run(model, [*against[-3:] * 3, *against[-3:]], tmp_path / "parent", replace(LOOP, num_steps=20), fast)
    start = snapshot(model)
    expected = mean_loss(model, against[-3:], 2, True)
    done = run(model, against, tmp_path / "run", optim=fast, evaluate_start=True)
    assert (done.progress.best_step, done.progress.evaluations) == (0, 4)
    assert done.progress.best_loss == pytest.approx(expected, abs=1e-6)
    assert equal(snapshot(model), start)
    held_out = [e["step"] for e in read_events(tmp_path / "run" / "events.jsonl") if e["event"] == "held_out"]
    assert held_out == [0, 3, 6, 8]
    unseen = make_model()
    restore(unseen, start)
    done = run(unseen, against, tmp_path / "other", optim=fast)
    assert done.progress.best_step >= 3 and done.progress.evaluations == 3
    assert not equal(snapshot(unseen), start)


def test_a_start_that_is_ruined_is_an_error(rows: Rows, make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    with torch.no_grad():
        next(p for p in model.parameters() if p.requires_grad)[0, 0] = math.nan
    with pytest.raises(TrainingError, match=r"continues from has a held-out loss of nan; nothing was trained"):
        run(model, rows, tmp_path, evaluate_start=True)


# -- stopping and going on


@pytest.mark.parametrize("optim", ["adamw_torch", "adamw_torch_fused"])
@pytest.mark.parametrize("stop_after", [1, 4, 7])
def test_stopped_and_resumed_is_bit_for_bit_never_stopped(
    optim: str, stop_after: int, rows: Rows, make_model: MakeModel, tmp_path: Path
) -> None:
    optimizer = replace(OPTIM, optim=optim)
    straight = make_model(dropout=0.2)
    whole = run(straight, rows, tmp_path / "whole", optim=optimizer)

    stopped = run(make_model(dropout=0.2), rows, tmp_path / "run", optim=optimizer, stop_after=stop_after)
    assert (stopped.stopped_by, stopped.reason, stopped.progress.step) == (15, "signal 15", stop_after)
    torch.manual_seed(99)  # another process draws from elsewhere
    resumed = make_model(seed=5, dropout=0.2)
    done = run(resumed, rows, tmp_path / "run", optim=optimizer, resume=True)

    assert equal(snapshot(resumed), snapshot(straight))
    assert timeless(done.progress) == timeless(whole.progress)
    logs = [read_events(tmp_path / name / "events.jsonl") for name in ("whole", "run")]
    told = [[(e["step"], e["loss"]) for e in log if e["event"] in ("step", "held_out")] for log in logs]
    assert told[0] == told[1]


def test_stopped_at_every_step_it_still_arrives_at_the_same_weights(
    rows: Rows, make_model: MakeModel, tmp_path: Path
) -> None:
    straight = make_model(dropout=0.2)
    run(straight, rows, tmp_path / "whole")
    for _ in range(LOOP.num_steps - 1):
        assert run(make_model(dropout=0.2), rows, tmp_path / "run", stop_after=1, resume=True).stopped_by == 15
    last = make_model(dropout=0.2)
    assert run(last, rows, tmp_path / "run", resume=True).stopped_by is None
    assert equal(snapshot(last), snapshot(straight))


@pytest.mark.parametrize("stop_after", [0, 2, 5])
def test_resumed_after_its_start_was_evaluated_it_is_as_if_never_stopped(
    stop_after: int, rows: Rows, make_model: MakeModel, tmp_path: Path
) -> None:
    against, optim = against_training(rows), replace(OPTIM, learning_rate=2e-2)
    straight = make_model(dropout=0.2)
    whole = run(straight, against, tmp_path / "whole", optim=optim, evaluate_start=True)
    run(make_model(dropout=0.2), against, tmp_path / "run", optim=optim, stop_after=stop_after, evaluate_start=True)
    last = make_model(seed=5, dropout=0.2)
    done = run(last, against, tmp_path / "run", optim=optim, resume=True, evaluate_start=True)
    assert timeless(done.progress) == timeless(whole.progress)
    assert equal(snapshot(last), snapshot(straight))
    events = read_events(tmp_path / "run" / "events.jsonl")
    assert [e["step"] for e in events if e["event"] == "held_out"] == [0, 3, 6, 8]


def test_killed_between_checkpoints_it_repeats_the_lost_steps(
    rows: Rows, make_model: MakeModel, tmp_path: Path
) -> None:
    """No signal was seen: the process was gone at step 5, its last checkpoint is of step 4."""
    straight = make_model(dropout=0.2)
    run(straight, rows, tmp_path / "whole")

    class Killed(BaseException):
        pass

    def die(event: dict) -> None:
        if event["event"] == "step" and event["step"] == 5:
            raise Killed

    log = EventLog((tmp_path / "events.jsonl"), die)
    checkpoints = tmp_path / "run" / "checkpoints"
    with pytest.raises(Killed):
        train(make_model(dropout=0.2), rows[:-3], rows[-3:], LOOP, OPTIM, log, checkpoints, None, Stop())
    log.close()
    assert [path.name for path in committed(checkpoints)] == ["step-00000002", "step-00000004"]
    resumed = make_model(dropout=0.2)
    run(resumed, rows, tmp_path / "run", resume=True)
    assert equal(snapshot(resumed), snapshot(straight))


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    rows: Rows, make_model: MakeModel, tmp_path: Path
) -> None:
    straight = make_model(dropout=0.2)
    run(straight, rows, tmp_path / "whole")
    run(make_model(dropout=0.2), rows, tmp_path / "run", stop_after=5)
    checkpoints = tmp_path / "run" / "checkpoints"
    newest = checkpoints / "step-00000005" / "optimizer.safetensors"
    data = bytearray(newest.read_bytes())
    data[-3] ^= 1
    newest.write_bytes(data)
    sound, damaged = latest_checkpoint(checkpoints)
    assert sound == checkpoints / "step-00000004" and list(damaged) == [checkpoints / "step-00000005"]
    resumed = make_model(dropout=0.2)
    run(resumed, rows, tmp_path / "run", resume=True)
    assert equal(snapshot(resumed), snapshot(straight))


# -- time and memory


def test_time_left_counts_the_evaluations_to_come() -> None:
    """8 steps, held-out rows looked at after 3, 6 and 8."""

    def left(step: int, evaluations: int) -> float:
        return _seconds_left(
            Progress(step=step, seconds=2.0 * step, evaluations=evaluations, evaluation_seconds=3.0 * evaluations), LOOP
        )

    assert left(2, 0) == 6 * 2  # how long one takes is not known yet
    assert left(4, 1) == 4 * 2 + 2 * 3
    assert left(6, 1) == 2 * 2 + 2 * 3  # this step's own is still to come
    assert left(8, 2) == 3


def test_steps_and_evaluations_are_timed_apart(rows: Rows, make_model: MakeModel, tmp_path: Path) -> None:
    began = time.perf_counter()
    progress = run(make_model(), rows, tmp_path).progress
    took = time.perf_counter() - began
    assert progress.evaluations == 3
    assert progress.seconds > 0 and progress.evaluation_seconds > 0
    assert progress.seconds + progress.evaluation_seconds < took


@pytest.mark.parametrize(("training", "doing"), [(True, "step 1"), (False, "the held-out evaluation after step 3")])
def test_out_of_memory_says_what_to_change(
    training: bool, doing: str, rows: Rows, make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model()

    def exhaust(module: torch.nn.Module, inputs: object) -> None:
        if module.training is training:
            raise torch.OutOfMemoryError("CUDA out of memory.\nmany lines more")

    model.get_base_model().base_model.register_forward_pre_hook(exhaust)
    with pytest.raises(TrainingError) as caught:
        run(model, rows, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{doing}: out of memory (CUDA out of memory.).") and "many lines" not in message
    assert "training.per_device_train_batch_size" in message and "training.gradient_accumulation_steps" in message


# -- ruin


def held_by(folder: Path) -> list[str]:
    return [path.name for path in committed(folder / "checkpoints")]


def test_a_nan_in_a_weight_stops_at_the_first_step_and_saves_nothing(
    rows: Rows, make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model()
    with torch.no_grad():
        model.get_parameter("base_model.model.model.layers.1.mlp.up_proj.weight")[3, 3] = math.nan
    first = sorted(epoch_order(8, seed=0, epoch=0)[:4])
    before = snapshot(model)
    with pytest.raises(TrainingError, match=r"step 1: the loss is nan .* not finite; rows of this step") as caught:
        run(model, rows, tmp_path)
    assert str(first) in str(caught.value)
    assert held_by(tmp_path) == [] and equal(snapshot(model), before)
    assert all(e["event"] == "train_begin" for e in read_events(tmp_path / "events.jsonl"))


def test_a_nan_that_comes_later_leaves_the_checkpoints_before_it(
    rows: Rows, make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model()

    def ruin(event: dict) -> None:
        if event["event"] == "step" and event["step"] == 4:
            model.get_parameter("base_model.model.model.norm.weight").data[0] = math.nan

    log = EventLog(tmp_path / "events.jsonl", ruin)
    with pytest.raises(TrainingError, match=r"step 5: "):
        train(model, rows[:-3], rows[-3:], LOOP, OPTIM, log, tmp_path / "checkpoints", None, Stop())
    log.close()
    assert held_by(tmp_path) == ["step-00000002", "step-00000004"]


@pytest.mark.parametrize("num_steps", [1, 2, 8])
def test_an_absurd_learning_rate_is_an_error_not_an_adapter(
    num_steps: int, rows: Rows, make_model: MakeModel, tmp_path: Path
) -> None:
    loop = replace(LOOP, num_steps=num_steps, eval_steps=8)
    with pytest.raises(TrainingError, match=r"step [12]: .*Lower training\.learning_rate"):
        run(make_model(), rows, tmp_path, loop, replace(OPTIM, learning_rate=1e30, lr_scheduler_type="constant"))
    assert held_by(tmp_path) == []
    for line in (tmp_path / "events.jsonl").read_text().splitlines():
        assert json.loads(line)["event"] in ("train_begin", "step")
