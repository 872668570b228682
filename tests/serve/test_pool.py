"""Seats: what they hold, who gives way, what cannot have one; and the product of a mixed batch in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rankwise.errors import AdapterError
from rankwise.facts import read_adapter
from rankwise.model.load import load_base
from rankwise.serve.decoder import Decoder
from rankwise.serve.pool import Group, Pool, require_servable, seat_bytes
from rankwise.serve.segments import Segments

Adapter = Callable[..., Path]


@pytest.fixture(scope="module")
def groups(tiny_base: Path) -> list[Group]:
    decoder = Decoder.of(load_base(tiny_base, "float32", "cpu"), 2, 32)
    assert decoder is not None and len(decoder.groups) == 8
    return decoder.groups


def test_a_mixed_batch_adds_each_rows_own_product(tiny_base: Path, groups: list[Group], adapter: Adapter) -> None:
    """y = x W^T + alpha / r x A^T B^T, by each row's own A and B; two ranks, uneven counts, rows of the base alone."""
    folders = [
        adapter(tiny_base, 1, r=4),
        adapter(tiny_base, 2, r=8),
        adapter(tiny_base, 3, r=16, targets=["q_proj", "v_proj"]),
    ]
    pool = Pool(groups, torch.float32, 1 << 28)
    facts = [read_adapter(folder) for folder in folders]
    seats = [pool.acquire(each) for each in facts]
    assert [seat.bench.rank for seat in seats] == [8, 8, 16]
    rows = [0, None, 2, 1, 0, 0, 2, None]
    x, out = torch.randn(8, 32), torch.randn(8, groups[0].width)
    segments = Segments([None if which is None else seats[which] for which in rows])
    found = segments.add(0, x.clone(), out.clone())
    for row, which in enumerate(rows):
        expected = out[row].clone()
        column = 0
        for module, width in zip(groups[0].modules, groups[0].out_features, strict=True):
            if which is not None and module in facts[which].pairs:
                tensors = load_file(folders[which] / "adapter_model.safetensors")
                a = tensors[f"base_model.model.{module}.lora_A.weight"]
                b = tensors[f"base_model.model.{module}.lora_B.weight"]
                expected[column : column + width] += 2.0 * (x[row] @ a.t() @ b.t())
            column += width
        torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-4)


def test_rows_laid_out_as_seats_are_take_the_short_way(tiny_base: Path, groups: list[Group], adapter: Adapter) -> None:
    pool = Pool(groups, torch.float32, 1 << 28)
    seats = [pool.acquire(read_adapter(adapter(tiny_base, seed))) for seed in (1, 2)]
    x, out = torch.randn(4, 32), torch.randn(4, groups[0].width)
    short = Segments([seats[0], seats[0], seats[1], seats[1]])
    long = Segments([seats[1], seats[0], seats[1], seats[0]])
    order = [2, 0, 3, 1]
    found = short.add(0, x.clone(), out.clone())
    torch.testing.assert_close(long.add(0, x[order].clone(), out[order].clone()), found[order], rtol=1e-5, atol=1e-5)


def test_memory_stays_within_its_budget_and_the_longest_unused_gives_way(
    tiny_base: Path, groups: list[Group], adapter: Adapter
) -> None:
    facts = [read_adapter(adapter(tiny_base, seed)) for seed in (1, 2, 3)]
    budget = 2 * seat_bytes(groups, 8, torch.float32)
    pool = Pool(groups, torch.float32, budget)
    first, second = pool.acquire(facts[0]), pool.acquire(facts[1])
    pool.release(first)
    pool.release(second)
    assert pool.acquire(facts[0]) is first
    pool.release(first)
    pool.acquire(facts[2])
    assert {each.key for each in pool.describe()} == {facts[0].digest, facts[2].digest}
    assert pool.bytes <= budget
    with pytest.raises(AdapterError, match="all adapters together may take 10"):
        Pool(groups, torch.float32, 10).acquire(facts[0])


def test_an_adapter_is_unloaded_when_its_last_request_ends(
    tiny_base: Path, groups: list[Group], adapter: Adapter
) -> None:
    facts = read_adapter(adapter(tiny_base, 1))
    pool = Pool(groups, torch.float32, 1 << 28)
    seat = pool.acquire(facts)
    assert pool.unload(facts.digest) and len(pool.describe()) == 1
    pool.release(seat)
    assert pool.describe() == [] and not pool.unload(facts.digest)


def test_what_a_shared_batch_cannot_do_is_refused_by_name(
    tiny_base: Path, groups: list[Group], adapter: Adapter
) -> None:
    facts = read_adapter(adapter(tiny_base, 1))
    modules = {module for group in groups for module in group.modules}
    assert require_servable(facts, modules) == 8
    for changed, told in (
        ({"peft_type": "ADALORA"}, "ADALORA, not LoRA"),
        ({"use_dora": True}, "DoRA"),
    ):
        with pytest.raises(AdapterError, match=told):
            require_servable(replace(facts, config={**facts.config, **changed}), modules)
    with pytest.raises(AdapterError, match=r"adapts what is adapted in no batch here \(model.layers"):
        require_servable(facts, modules - {groups[0].modules[0]})


def test_scales_are_pefts(tiny_base: Path, adapter: Adapter) -> None:
    facts = read_adapter(adapter(tiny_base, 1, r=4))
    path = "model.layers.1.mlp.up_proj"
    assert facts.scale(path) == 2
    rs = replace(facts, config={**facts.config, "use_rslora": True, "alpha_pattern": {"up_proj": 12}})
    assert rs.scale(path) == 6
    assert rs.scale("model.layers.1.mlp.down_proj") == 4
