"""AdaLoRA: PEFT's own layers and budget, and what is left of them as plain LoRA."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from peft.tuners.adalora.layer import SVDLinear

from rankwise.facts import identify_base, read_adapter, read_anatomy, verify_adapter
from rankwise.facts.counts import trainable_parameters
from rankwise.model.adalora import Allocator, attach_adalora
from rankwise.model.attach import attach_existing, require_trainable
from rankwise.model.load import load_base
from rankwise.model.packing import Packing
from rankwise.plan.adalora import Schedule, schedule_of

TARGETS = ["q_proj", "down_proj"]
SCHEDULE = schedule_of(4, 20)
BaseOf = Callable[[str], Path]


def fresh(base: Path, dtype: str = "float32", dropout: float = 0.0) -> PeftModel:
    return attach_adalora(load_base(base, dtype, "cpu"), TARGETS, 8.0, dropout, SCHEDULE, 0)


def logits(model: torch.nn.Module, seed: int = 0) -> torch.Tensor:
    packing = Packing([9])
    ids = torch.randint(0, 250, (1, 9), generator=torch.Generator().manual_seed(seed))
    return model(input_ids=ids, position_ids=packing.positions(), packing=packing).logits


def steps(model: PeftModel, allocator: Allocator, first: int, last: int) -> None:
    """Plain gradient steps number `first` to `last`, counted from 1."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    for step in range(first, last + 1):
        logits(model, step).square().mean().backward()
        allocator.regularise()
        with torch.no_grad():
            for p in parameters:
                p -= 0.05 * p.grad  # type: ignore[operator]
        allocator.stepped(step)
        for p in parameters:
            p.grad = None


def test_the_schedule_is_what_the_plan_says() -> None:
    assert schedule_of(16, 100) == Schedule(24, 16, 10, 30, 1, 100)
    assert schedule_of(1, 10) == Schedule(2, 1, 1, 3, 1, 10)


def test_it_begins_as_the_base_with_what_was_counted(base_of: BaseOf) -> None:
    base = base_of("llama")
    with torch.no_grad():
        torch.testing.assert_close(logits(fresh(base)), logits(load_base(base, "float32", "cpu")))
    require_trainable(fresh(base), trainable_parameters(read_anatomy(base), "adalora", TARGETS, SCHEDULE.init_r))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_output_and_gradients_are_pefts(dtype: str, base_of: BaseOf) -> None:
    ours = fresh(base_of("qwen2"), dtype)
    for name, p in ours.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(p, std=0.3)
    theirs = copy.deepcopy(ours)
    for module in theirs.modules():
        if type(module) is SVDLinear:
            module.__dict__.pop("forward")
    y, z = logits(ours), logits(theirs)
    tolerance = {"float32": 1e-4, "bfloat16": 0.05}[dtype]
    assert float((y - z).norm() / z.norm()) < tolerance
    y.float().square().mean().backward()
    z.float().square().mean().backward()
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if q.grad is not None:
            assert p.grad is not None and p.grad.dtype == torch.float32
            assert float((p.grad - q.grad).norm()) <= 2 * tolerance * float(q.grad.norm()), name


def test_ranks_are_pruned_to_the_budget_and_kept_so(base_of: BaseOf) -> None:
    model = fresh(base_of("llama"))
    allocator = Allocator(model, SCHEDULE)
    steps(model, allocator, 1, 13)
    assert not allocator.is_final
    steps(model, allocator, 14, 14)
    assert allocator.is_final
    layers = 2 * 3
    assert sum(allocator.ranks().values()) == SCHEDULE.target_r * layers < SCHEDULE.init_r * layers
    before = allocator.ranks()
    steps(model, allocator, 15, 20)
    assert allocator.ranks() == before


def test_what_is_left_is_plain_lora_with_the_same_logits(base_of: BaseOf, tmp_path: Path) -> None:
    base = base_of("llama")
    model = fresh(base)
    allocator = Allocator(model, SCHEDULE)
    steps(model, allocator, 1, 20)
    with torch.no_grad():
        first = next(layer for layer in model.modules() if isinstance(layer, SVDLinear))
        for layer in model.modules():
            if isinstance(layer, SVDLinear):
                layer.lora_E["default"].mul_(1e3)  # so few steps leave little to see
        first.lora_E["default"].zero_()  # a layer of which nothing is left
        trained, own = logits(model), logits(load_base(base, "float32", "cpu"))
        assert float((trained - own).abs().max()) > 1e-3
        model.save_pretrained(str(tmp_path), save_embedding_layers=False)
        allocator.save_plain(tmp_path)
        again = attach_existing(load_base(base, "float32", "cpu"), tmp_path, trainable=False)
        torch.testing.assert_close(logits(again), trained, rtol=1e-4, atol=1e-5)
    facts = read_adapter(tmp_path)
    assert facts.config["peft_type"] == "LORA" and len(facts.pairs) == 6
    assert len({pair.r for pair in facts.pairs.values()}) > 1 and min(pair.r for pair in facts.pairs.values()) == 1
    problems = verify_adapter(tmp_path, identify_base(base), read_anatomy(base))
    assert [p.code for p in problems] == ["adapter-base-unknown"]


@pytest.mark.parametrize("cut", [5, 16])
def test_its_memory_goes_through_a_checkpoint(cut: int, base_of: BaseOf) -> None:
    straight, stopped = fresh(base_of("llama")), fresh(base_of("llama"))
    one, two = Allocator(straight, SCHEDULE), Allocator(stopped, SCHEDULE)
    steps(straight, one, 1, 20)
    steps(stopped, two, 1, cut)
    resumed = fresh(base_of("llama"))
    resumed.load_state_dict(stopped.state_dict())
    three = Allocator(resumed, SCHEDULE)
    three.load({name: value.clone() for name, value in two.state().items()})
    steps(resumed, three, cut + 1, 20)
    for (name, p), q in zip(resumed.named_parameters(), straight.parameters(), strict=True):
        assert torch.equal(p, q), name
    assert three.mask == one.mask
