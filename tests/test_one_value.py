"""One rank, walked from YAML to disk: every place that speaks of it says the same, and the logits come along."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from rankwise import api, catalog
from rankwise.files import read_json
from rankwise.recipe import load_recipe

HIDDEN, KEY_VALUE, INNER, LAYERS = 32, 16, 64, 2
"""Of the tiny base."""
SUM_OF_ENDS = {
    "q_proj": HIDDEN + HIDDEN,
    "k_proj": HIDDEN + KEY_VALUE,
    "v_proj": HIDDEN + KEY_VALUE,
    "o_proj": HIDDEN + HIDDEN,
    "gate_proj": HIDDEN + INNER,
    "up_proj": HIDDEN + INNER,
    "down_proj": INNER + HIDDEN,
}
TOLERANCE = 2e-5
"""Largest difference of logits (float32, logits of about 1)."""


@pytest.mark.parametrize("r", [1, 4, 16])
def test_the_rank_is_one_value_from_recipe_to_disk(r: int, tiny_base: Path, tmp_path: Path) -> None:
    rows = [{"text": f"the tenant pays in month {i}", "label": "good" if i % 2 else "bad"} for i in range(12)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: {tiny_base}\ndata: {{train: rows.jsonl}}\nlora:\n  r: {r}\n"
        "training: {max_steps: 2, learning_rate: 0.05, warmup_ratio: 0.0}\n"
    )
    asked = load_recipe(recipe)
    closed_form = r * LAYERS * sum(SUM_OF_ENDS.values())

    made = api.plan(asked)
    assert made["lora.r"] == r and made.decisions["lora.r"].source == f"{recipe}:4"
    assert made.trainable_parameters == closed_form

    trained = api.train(asked, tmp_path / "run")
    config = read_json(trained.adapter / "adapter_config.json")
    assert (config["r"], config["lora_alpha"]) == (r, 2 * r)
    assert read_json(tmp_path / "run" / "plan.json")["decisions"]["lora.r"]["value"] == r
    with safe_open(trained.adapter / "adapter_model.safetensors", "pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    assert len(shapes) == 2 * LAYERS * len(SUM_OF_ENDS)
    for name, shape in shapes.items():
        assert shape[0 if "lora_A" in name else 1] == r, name
    assert sum(a * b for a, b in shapes.values()) == closed_form
    entry = catalog.find_entry(trained.entry.id)
    assert (entry.r, entry.parameters) == (r, closed_form)
    assert f"{r}" in (trained.adapter / "README.md").read_text()


@pytest.mark.parametrize("r", [1, 4, 16])
def test_logits_survive_save_load_and_merge(r: int, tiny_base: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from rankwise.model.attach import LoraSettings, attach_new, require_trainable
    from rankwise.model.load import load_base
    from rankwise.model.packing import Packing

    settings = LoraSettings(r, 2 * r, 0.0, list(SUM_OF_ENDS), "none", False, True)
    adapted = attach_new(load_base(tiny_base, "float32", "cpu"), "tiny", settings, seed=0)
    require_trainable(adapted, r * LAYERS * sum(SUM_OF_ENDS.values()))
    torch.manual_seed(r)
    ids = torch.arange(2, 50)[None]
    packing = Packing([48], 0)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
        adapted.eval()
        before = adapted(input_ids=ids, packing=packing, position_ids=packing.positions()).logits
    adapted.save_pretrained(str(tmp_path))

    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_base), str(tmp_path)).eval()
    with torch.no_grad(), loaded.disable_adapter():
        base = loaded(input_ids=ids).logits
    with torch.no_grad():
        after = loaded(input_ids=ids).logits
        merged = loaded.merge_and_unload()(input_ids=ids).logits
    assert float((before - base).abs().max()) > 1000 * TOLERANCE  # the adapter does something
    assert float((before - after).abs().max()) < TOLERANCE
    assert float((before - merged).abs().max()) < TOLERANCE
