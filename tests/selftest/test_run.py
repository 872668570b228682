"""The self-test passes where nothing is wrong, and fails by the right promise for every fault that is planted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rankwise.errors import BaseError
from rankwise.events import ignore
from rankwise.selftest import gradients, run
from rankwise.selftest.run import STAGES, run_selftest
from rankwise.train import objectives

CUT = "batch x accumulation: one step"
SHARED = "a shared prefix changes nothing"
KEPT = "saved = loaded = merged"
PACKED = "packed rows = padded rows"
LAYERS = "our LoRA layers = PEFT's own"
RESUMED = "resumed = never stopped"
SEEDED = "same seed = same adapter"
Patch = pytest.MonkeyPatch


def test_all_promises_hold_on_a_sound_build(passed):
    found, events = passed
    assert found.ok
    assert {check.promise for check in found.checks if check.decides} == {
        *(CUT, SHARED, KEPT, PACKED, LAYERS, RESUMED, SEEDED)
    }
    assert all(check.ok for check in found.checks)
    assert found.rows == 8 and found.tokens > 8 * 16
    stages = [event["stage"] for event in events if event["event"] == "selftest"]
    assert stages == [*STAGES, "done"]


def test_there_was_something_to_compare(passed):
    """Rounding alone tells two ways of computing apart: a difference of exactly nothing would be one way, twice."""
    found, _ = passed
    apart = {(check.promise, check.measure): check.difference for check in found.checks}
    for promise in (CUT, SHARED, PACKED, LAYERS):
        assert 0 < apart[promise, "gradient, relative"] < run.GRADIENT_TOLERANCE


def broken(model: Path) -> set[str]:
    found = run_selftest(str(model), ignore)
    assert found.ok is all(check.ok for check in found.checks if check.decides)
    return {check.promise for check in found.checks if check.decides and not check.ok}


def mean_of_means(patch: Patch) -> None:
    """The common fault of accumulation: every micro-batch weighs the same, however many tokens it has."""
    sound = gradients.backward_sft

    def wrong(model, parts, share):
        loss = sum(float(sound(model, [part], share)) for part in parts) / len(parts)
        for p in model.parameters():
            if p.grad is not None:
                p.grad /= len(parts)
        return torch.tensor(loss)

    patch.setattr(gradients, "backward_sft", wrong)


def backward_wrong_by_one_percent(patch: Patch) -> None:
    """The gradient of a single tensor."""
    sound = gradients.attach_new

    def attach(base, name, lora, seed):
        adapted = sound(base, name, lora, seed)
        tensors = [p for name, p in adapted.named_parameters() if "lora_A" in name]
        tensors[3].register_hook(lambda gradient: gradient * 1.01)
        return adapted

    patch.setattr(gradients, "attach_new", attach)


def rows_that_see_each_other(patch: Patch) -> None:
    """All rows of a batch laid out as one long row."""
    sound = objectives.pack
    patch.setattr(
        objectives,
        "pack",
        lambda rows, share: batch if (batch := sound(rows, share)).prefix else replace(batch, lengths=[len(batch.ids)]),
    )


def prefix_of_other_tokens(patch: Patch) -> None:
    sound = objectives.pack

    def pack(rows, share):
        batch = sound(rows, share)
        return replace(batch, ids=[batch.ids[0]] * batch.prefix + batch.ids[batch.prefix :])

    patch.setattr(objectives, "pack", pack)


def nothing_shared(patch: Patch) -> None:
    sound = run.pack
    patch.setattr(run, "pack", lambda rows, share: sound(rows, False))


def loaded_with_another_scale(patch: Patch) -> None:
    sound = run.attach_existing

    def attach(base, adapter, trainable):
        adapted = sound(base, adapter, trainable)
        for name, p in adapted.named_parameters():
            if "lora_B" in name:
                p.data *= 1.05
        return adapted

    patch.setattr(run, "attach_existing", attach)


def random_state_not_put_back(patch: Patch) -> None:
    from rankwise.train import state

    class Torch:
        def __getattr__(self, name: str):
            return (lambda state: None) if name == "set_rng_state" else getattr(torch, name)

    patch.setattr(state, "torch", Torch())


@pytest.mark.parametrize(
    ("plant", "promises"),
    [
        (mean_of_means, {CUT, LAYERS}),
        (backward_wrong_by_one_percent, {PACKED, LAYERS}),
        (rows_that_see_each_other, {CUT, SHARED, PACKED}),
        (prefix_of_other_tokens, {SHARED}),
        (nothing_shared, {SHARED}),
        (loaded_with_another_scale, {KEPT}),
        (random_state_not_put_back, {RESUMED}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_planted_fault_breaks_its_promise(
    plant: Callable[[Patch], None], promises: set[str], tiny_base: Path, monkeypatch: Patch
):
    plant(monkeypatch)
    assert broken(tiny_base) == promises


def test_seeds_that_differ_break_the_promise_of_one_seed(tiny_base: Path, monkeypatch: Patch):
    from rankwise.model import attach

    seeds = iter(range(1, 100))
    own = torch.manual_seed
    monkeypatch.setattr(attach.torch, "manual_seed", lambda seed: own(next(seeds)))
    assert SEEDED in broken(tiny_base)


def test_nothing_to_compare_is_no_success():
    difference, told = gradients.gradient_difference({}, {})
    assert math.isnan(difference) and "0 tensors" in told
    zero = {"a": torch.zeros(2)}
    assert math.isnan(gradients.gradient_difference(zero, zero)[0])
    ruined = {"a": torch.ones(2), "b": torch.tensor([math.nan, 1.0])}
    sound = {"a": torch.zeros(2) + 2, "b": torch.ones(2)}
    difference, told = gradients.gradient_difference(ruined, sound)
    assert math.isnan(difference) and told == "b"


def test_gradients_are_compared_tensor_by_tensor():
    ours = {"large": torch.tensor([30.0, 40.0]), "small": torch.tensor([1.0, 1.1])}
    theirs = {"large": torch.tensor([30.0, 40.0]), "small": torch.tensor([1.0, 1.0])}
    difference, told = gradients.gradient_difference(ours, theirs)
    assert difference == pytest.approx(0.1 / 2**0.5, rel=1e-4) and told == "small"


def test_a_base_that_cannot_be_trained_is_refused_as_elsewhere(tmp_path: Path):
    with pytest.raises(BaseError, match="there is no folder"):
        run_selftest(str(tmp_path / "absent"), ignore)
