"""One side of benchmarks/compute.py, in a process of its own, so that its peak of memory is its own too:

    python benchmarks/compute_side.py RECIPE METHOD ours|plain STEPS

METHOD is lora or full; `plain` is transformers with PEFT alone, on the plan's rank, targets and rows, padded. The first
steps of the run that RECIPE plans, in float32: one whose floating-point operations are counted, then STEPS that are
timed, optimizer and all. Prints one JSON object.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM

from rankwise.data.batch import pack, steps
from rankwise.data.render import Rendered
from rankwise.events import ignore
from rankwise.facts import Anatomy, identify_base, read_machine
from rankwise.model.loss import STRIDE
from rankwise.plan import Plan, Prepared, advise, prepare
from rankwise.recipe import load_recipe
from rankwise.train.objectives import backward_sft
from rankwise.train.opened import open_model
from rankwise.train.optim import make_optimizer
from rankwise.train.run import peak_memory_bytes, reset_peak_memory
from rankwise.train.settings import BaseFolder, Settings, read_plan
from rankwise.train.state import trainable

aten = torch.ops.aten
IN_PLACE = {
    aten.addmm_: lambda total, one, other, **_: 2 * prod(one) * other[-1],
    aten.baddbmm_: lambda total, one, other, **_: 2 * prod(one) * other[-1],
}
"""Products that our layers add to what is there, which torch's counter does not know."""
WITH_WEIGHTS = (aten.mm, aten.addmm, aten.addmm_)
BETWEEN_TOKENS = (aten.bmm, aten.baddbmm, aten.baddbmm_)
"""All of attention's products are batched, and no other is."""

Step = Callable[[Sequence[Rendered]], float]
"""Adds the gradients of the mean loss of these rows, and returns it."""


def main(recipe: Path, method: str, side: str, count: int) -> None:
    plan, prepared, settings = planned(recipe, method)
    torch.set_num_threads(settings.threads)
    model, step, attend = SIDES[side](plan, prepared, settings)
    rows = prepared.corpus.train_rendered
    loop = settings.loop
    chosen = [[rows[i] for i in step_rows] for step_rows in steps(len(rows), loop.step_rows, loop.seed, 0, count + 1)]
    attend("eager")
    products = counted(lambda: step(chosen[0]))
    model.zero_grad(set_to_none=True)
    attend("sdpa")
    optimizer = make_optimizer(trainable(model), settings.optim)
    reset_peak_memory(settings.device)
    seconds, losses = [], []
    for batch in chosen:  # the first once more: it makes the optimizer's moments and the products' code
        began = time.perf_counter()
        losses.append(step(batch))
        torch.nn.utils.clip_grad_norm_(trainable(model).values(), settings.optim.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - began)
    tokens = sum(len(row.ids) for row in chosen[0])
    told = {
        "trained": plan.trainable_parameters,
        "total": plan.total_parameters,
        "rows": loop.step_rows,
        "tokens": tokens,
        "flop": products,
        "closed_form": closed_form(prepared.anatomy, plan, chosen[0], side),
        "seconds": statistics.median(seconds[1:]),
        "fastest": min(seconds[1:]),
        "slowest": max(seconds[1:]),
        "peak_memory_bytes": peak_memory_bytes(settings.device),
        "planned_bytes": plan.memory_bytes,
        "losses": losses,
        "threads": settings.threads,
        "r": plan.values().get("lora.r"),
    }
    print(json.dumps(told), flush=True)


def planned(recipe: Path, method: str) -> tuple[Plan, Prepared, Settings]:
    asked = load_recipe(recipe, [f"method={method}", "training.bf16=false"])
    prepared = prepare(asked, ignore, to_train=True)
    plan = advise(asked, prepared, read_machine(), None)
    return plan, prepared, read_plan(plan, prepared.corpus)


def our_step(plan: Plan, prepared: Prepared, settings: Settings) -> tuple[Any, Step, Callable[[str], None]]:
    """As `rankwise train` opens the model, and as it steps; it has one kind of attention."""
    base = BaseFolder(prepared.located.name, prepared.path, identify_base(prepared.path))
    model = open_model(settings, plan, base).train()
    return model, lambda rows: float(backward_sft(model, [rows], settings.loop.shared_prefix)), lambda name: None


def plain_step(plan: Plan, prepared: Prepared, settings: Settings) -> tuple[Any, Step, Callable[[str], None]]:
    torch.manual_seed(settings.loop.seed)
    base = AutoModelForCausalLM.from_pretrained(prepared.path, dtype=torch.float32, local_files_only=True)
    lora = settings.lora
    model: Any = base
    if lora is not None:
        config = LoraConfig(r=lora.r, lora_alpha=lora.lora_alpha, target_modules=list(lora.target_modules))  # type: ignore[arg-type]
        model = get_peft_model(base, config)
    model.train()

    def step(rows: Sequence[Rendered]) -> float:
        longest = max(len(row.ids) for row in rows)
        ids = torch.tensor([[*row.ids, *[0] * (longest - len(row.ids))] for row in rows])
        seen = torch.tensor([[1] * len(row.ids) + [0] * (longest - len(row.ids)) for row in rows])
        told = torch.tensor([[*row.supervised, *[False] * (longest - len(row.ids))] for row in rows])
        loss = model(input_ids=ids, attention_mask=seen, labels=ids.masked_fill(~told, -100), use_cache=False).loss
        loss.backward()
        return float(loss.detach())

    return model, step, base.set_attn_implementation


SIDES = {"ours": our_step, "plain": plain_step}


def counted(step: Callable[[], object]) -> dict[str, int]:
    """Floating-point operations of matrix products, two for each multiply-add, by what is multiplied."""
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as counter:
        step()
    by_product = counter.get_flop_counts()["Global"]
    odd = by_product.keys() - set(WITH_WEIGHTS + BETWEEN_TOKENS)
    assert not odd, f"counted, and of neither kind: {odd}"
    return {
        "weights": sum(by_product.get(product, 0) for product in WITH_WEIGHTS),
        "attention": sum(by_product.get(product, 0) for product in BETWEEN_TOKENS),
    }


def closed_form(anatomy: Anatomy, plan: Plan, rows: Sequence[Rendered], side: str) -> int:
    """What the products with weights come to, by what each token meets.

    A frozen weight is met twice, forward and by the gradient of its input, and a trained one once more, by its own; but
    nothing below the first layer of a frozen base needs a gradient. Each time is two operations a token.

    plain: all tokens, padding too, go through everything, the head among it. ours: packed tokens, the shared ones once;
    of the last layer the output of attention and the MLP, and the head, see supervised tokens alone; a trained head
    computes its logits again.
    """
    whole, settled = plan["method"] == "full", plan.values()
    if side == "ours":
        batch = pack(rows, bool(plan["shared_prefix"]))
        tokens, asked = len(batch.ids) + -len(batch.ids) % STRIDE["cpu"], len(batch.targets)
    else:
        tokens = asked = len(rows) * max(len(row.ids) for row in rows)
    r = 0 if whole else int(settled["lora.r"])  # type: ignore[call-overload]
    total = 0
    for module in anatomy.targeted(anatomy.resolve_targets("all-linear").modules):
        late = module.layer == anatomy.num_layers - 1 and module.role in ("attention_output", "gate", "up", "down")
        seen = asked if late and side == "ours" else tokens
        below = whole or module.layer != 0 or module.role not in ("query", "key", "value")
        products = 2 + below if whole else 1 + below  # forward, its input's gradient, its own
        total += 2 * seen * products * module.in_features * module.out_features
        total += 2 * seen * r * ((2 + below) * module.in_features + 3 * module.out_features)
    head = anatomy.hidden_size * anatomy.vocab_size
    again = whole and side == "ours"
    return total + 2 * asked * (2 + whole + again) * head


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
