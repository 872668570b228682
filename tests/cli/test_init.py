"""`rankwise init` from presets and other tools' files: the recipe runs, and what it cannot say is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from rankwise.recipe import load_recipe
from rankwise.recipe.presets import PRESETS

GUIDE = """\
lora_rank: 4
lora_alpha: 32
apply_to:
  - attn.q_proj
  - lm_head
lr_multiplier: 10
lora_rank_per_expert: 32
"""


@pytest.mark.parametrize("preset", PRESETS)
def test_a_presets_recipe_passes_the_check_on_the_model_at_hand(cli, preset: str, tiny_base: Path, tmp_path: Path):
    written = cli(
        *("init", "--preset", preset, "--domain", "legal", "--model", tiny_base, "--output", "recipe.yaml", "--json"),
        cwd=tmp_path,
    )
    assert written.code == 0, written.err
    asked = load_recipe(tmp_path / "recipe.yaml")
    assert (asked.recipe.model, asked.recipe.domain) == (str(tiny_base), "legal")
    assert asked.recipe.lora.r == PRESETS[preset].values["lora.r"][0]
    for item in written.json["not_carried"]:
        assert f"{item['key']}: {item['value']} is not carried over: {item['why']}" in written.err
        assert f"# Not carried over, preset {preset}: {item['key']}: {item['value']}" in written.json["recipe"]
    checked = cli("check", "recipe.yaml", "--json", cwd=tmp_path)
    assert checked.code == 0 and checked.json["ok"], checked.err


def test_a_guide_becomes_a_recipe_for_the_model_at_hand(cli, tiny_base: Path, tmp_path: Path):
    (tmp_path / "guide.yaml").write_text(GUIDE)
    result = cli("init", "--from", "guide.yaml", "--model", tiny_base, "--domain", "legal", "--json", cwd=tmp_path)
    assert result.code == 0, result.err
    (tmp_path / "recipe.yaml").write_text(result.json["recipe"])
    recipe = load_recipe(tmp_path / "recipe.yaml").recipe
    assert (recipe.lora.r, recipe.lora.lora_alpha, recipe.lora.target_modules) == (4, 32, ["q_proj"])
    assert recipe.training.learning_rate == 0.0625  # 10 x (2000 / 32) x 1e-4
    assert [(item["where"], item["key"], item["value"]) for item in result.json["not_carried"]] == [
        ("guide.yaml:5", "apply_to", "lm_head"),
        ("guide.yaml:7", "lora_rank_per_expert", 32),
    ]
    assert [problem["code"] for problem in result.json["problems"]] == ["not-carried"] * 2
    assert cli("check", "recipe.yaml", cwd=tmp_path).code == 0


def test_a_guide_may_say_attention_and_dropout(cli, tiny_base: Path, tmp_path: Path):
    (tmp_path / "guide.yaml").write_text("lora_rank: 8\nlora_dropout: 0.05\napply_to: attention\n")
    result = cli("init", "--from", "guide.yaml", "--model", tiny_base, "--domain", "legal", "--json", cwd=tmp_path)
    assert result.code == 0 and not result.json["not_carried"], result.err
    (tmp_path / "recipe.yaml").write_text(result.json["recipe"])
    recipe = load_recipe(tmp_path / "recipe.yaml").recipe
    assert (recipe.lora.lora_dropout, recipe.lora.target_modules) == (0.05, ["attention"])
    plan = cli("plan", "recipe.yaml", "--json", cwd=tmp_path).json
    targets = plan["decisions"]["lora.target_modules"]
    assert targets["value"] == ["q_proj", "k_proj", "v_proj", "o_proj"]
    assert "attention = q_proj, k_proj, v_proj, o_proj" in targets["reason"]


def test_a_base_named_from_here_is_found_from_the_recipes_folder(cli, tiny_base: Path, tmp_path: Path):
    (tmp_path / "base").symlink_to(tiny_base)
    (tmp_path / "recipes").mkdir()
    made = cli("init", "--model", "base", "--domain", "legal", "--output", "recipes/recipe.yaml", cwd=tmp_path)
    assert made.code == 0, made.err
    asked = load_recipe(tmp_path / "recipes" / "recipe.yaml")
    assert asked.recipe.model == "../base"
    for overrides in ([], ["--set", "model=./base"]):
        assert cli("plan", "recipes/recipe.yaml", *overrides, cwd=tmp_path).code == 0


def test_a_base_that_is_not_here_is_neither_fetched_nor_looked_at(cli, tmp_path: Path):
    (tmp_path / "config.yml").write_text("base_model: org/a-base\nadapter: lora\nlora_target_modules: [q_proj]\n")
    result = cli("init", "--from", "config.yml", "--json", cwd=tmp_path, RANKWISE_HOME=str(tmp_path / "home"))
    assert result.code == 0, result.err
    assert result.codes == ["base-not-here"] and not (tmp_path / "home").exists()
    assert "model: org/a-base  # base_model (config.yml:1)\n" in result.json["recipe"]
    assert "  target_modules: [q_proj]  # lora_target_modules (config.yml:3)\n" in result.json["recipe"]


def test_a_model_of_ones_own_takes_the_place_of_the_files(cli, tiny_base: Path, tmp_path: Path):
    (tmp_path / "config.yml").write_text("base_model: org/a-base\nadapter: lora\n")
    result = cli("init", "--from", "config.yml", "--model", tiny_base, "--json", cwd=tmp_path)
    assert f"model: {tiny_base}  # the base, as you named it\n" in result.json["recipe"]
    assert [(item["key"], item["value"]) for item in result.json["not_carried"]] == [("model", "org/a-base")]


def test_a_relative_base_is_looked_for_beside_the_recipe(cli, tiny_base: Path, tmp_path: Path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "base").symlink_to(tiny_base)
    arguments = ("init", "--preset", "under-8gb", "--model", "./base")
    assert cli(*arguments, "--output", "inner/recipe.yaml", cwd=tmp_path).code == 0
    result = cli(*arguments, "--json", cwd=tmp_path)
    assert (result.code, result.codes) == (2, ["unknown-base"])


ENCODER = (
    '{"architectures": ["BertModel"], "model_type": "bert", "hidden_size": 32, "num_hidden_layers": 1, '
    '"num_attention_heads": 2, "intermediate_size": 48, "vocab_size": 64, "max_position_embeddings": 64}'
)


def test_an_encoder_gets_the_task_and_the_layers_of_its_kind(cli, tmp_path: Path):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text(ENCODER)
    result = cli("init", "--preset", "sentiment", "--model", "./encoder", "--json", cwd=tmp_path)
    assert (result.code, result.codes) == (0, [])
    assert "task: seq_cls  # a text gets one of a few labels" in result.json["recipe"]
    assert "target_modules: [query, value, key, attention.output.dense]" in result.json["recipe"]
    (tmp_path / "guide.yaml").write_text("lora_rank: 4\napply_to: [attn.q_proj]\n")
    result = cli("init", "--from", "guide.yaml", "--model", "./encoder", "--json", cwd=tmp_path)
    assert (result.code, result.codes) == (0, [])
    assert "target_modules: [query]" in result.json["recipe"]


def test_a_preset_for_another_task_leaves_the_task_out(cli, tiny_base: Path, tmp_path: Path):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text(ENCODER)
    for preset, model in (("text-generation", "./encoder"), ("sentiment", str(tiny_base))):
        result = cli("init", "--preset", preset, "--model", model, "--json", cwd=tmp_path)
        assert result.code == 0
        assert [item["key"] for item in result.json["not_carried"]] == ["task"]
        assert "\ntask: auto" in result.json["recipe"]


def test_a_guides_preset_speaks_of_an_encoder_decoder_by_its_own_names(cli, tmp_path: Path):
    (tmp_path / "t5").mkdir()
    (tmp_path / "t5" / "config.json").write_text(
        '{"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": true, '
        '"d_model": 32, "d_ff": 48, "d_kv": 8, "num_layers": 1, "num_heads": 2, "vocab_size": 64}'
    )
    result = cli("init", "--preset", "question-answering", "--model", "./t5", "--json", cwd=tmp_path)
    assert result.code == 0
    assert "task: seq_2_seq_lm  # a question becomes an answer" in result.json["recipe"]
    assert "target_modules: [q, k, v, o, wi, wo]" in result.json["recipe"]
    assert {(left["key"], left["value"]) for left in result.json["not_carried"]} == {
        ("target_modules", "gate_proj"),
        ("lora.bias", "lora_only"),
    }


def test_the_list_has_domains_and_presets(cli, tmp_path: Path):
    result = cli("init", "--list", "--json", cwd=tmp_path)
    assert [preset["name"] for preset in result.json["presets"]] == list(PRESETS)
    shown = cli("init", "--list", cwd=tmp_path).out
    assert "financial" in shown and "under-8gb" in shown


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--preset", "sentimental"], "unknown-preset"),
        (["--preset", "sentiment", "--from", "x.yaml"], "preset-and-from"),
        (["--from", "absent.yaml"], "guide-unreadable"),
        (["--from", "other.yaml"], "unknown-guide"),
        (["--preset", "sentiment", "--model", "./nowhere"], "unknown-base"),
        (["--preset", "sentiment", "--domain", "leagl"], "unknown-domain"),
    ],
)
def test_wrong_input_is_told(cli, arguments: list[str], code: str, tmp_path: Path):
    (tmp_path / "other.yaml").write_text("colour: blue\n")
    result = cli("init", *arguments, "--json", cwd=tmp_path)
    assert (result.code, result.codes) == (2, [code])


def test_nothing_is_fetched_for_a_file_that_is_there_already(cli, tmp_path: Path):
    (tmp_path / "recipe.yaml").write_text("domain: legal\n")
    result = cli("init", "--preset", "sentiment", "--output", "recipe.yaml", "--json", cwd=tmp_path)
    assert (result.code, result.codes) == (2, ["file-exists"])
