"""Other tools' configurations, as their own examples write them, become recipes; what they say beyond is listed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankwise.errors import RecipeError
from rankwise.recipe import Recipe, commented_recipe, parse_recipe
from rankwise.recipe.dialects import AXOLOTL, DIALECTS, GUIDE, LLAMA_FACTORY, PEFT, SECTIONED
from rankwise.recipe.draft import Draft, KnownBase
from rankwise.recipe.foreign import load_foreign, read_foreign
from rankwise.recipe.keys import LEAVES
from rankwise.recipe.rules import RULES
from rankwise.recipe.translate import translate
from rankwise.recipe.write import Chosen

BaseOf = Callable[[str], KnownBase]

WITHOUT_REGRET = """\
lora_rank: 64
lora_alpha: 32
dropout: 0.0
apply_to:
  - mlp.up_proj
  - mlp.down_proj
  - mlp.gate_proj
  - attn.q_proj
  - attn.k_proj
  - attn.v_proj
  - attn.o_proj
  - lm_head
init_A: "uniform"
init_B: "zero"
lr_multiplier: 10
"""
TEMPLATE = """\
lora:
  r: 16
  lora_alpha: 32
  lora_dropout: 0.05
  target_modules: [q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, mlp, mlp_proj]

training:
  learning_rate: 2e-4
  weight_decay: 1e-5
  optimizer: "adamw_torch"
  lr_scheduler_type: "cosine"
"""
AXOLOTL_QLORA = """\
base_model: NousResearch/Llama-3.2-1B
load_in_8bit: false
load_in_4bit: true
datasets:
  - path: teknium/GPT4-LLM-Cleaned
    type: alpaca
dataset_prepared_path: last_run_prepared
val_set_size: 0.1
output_dir: ./outputs/qlora-out
adapter: qlora
lora_model_dir:
sequence_len: 2048
sample_packing: true
lora_r: 32
lora_alpha: 16
lora_dropout: 0.05
lora_target_modules:
  - gate_proj
  - q_proj
wandb_project:
gradient_accumulation_steps: 4
micro_batch_size: 2
num_epochs: 1
optimizer: adamw_bnb_8bit
lr_scheduler: cosine
learning_rate: 0.0002
bf16: auto
tf32: false
gradient_checkpointing: true
logging_steps: 1
warmup_ratio: 0.1
evals_per_epoch: 4
weight_decay: 0.0
special_tokens:
  pad_token: "<|end_of_text|>"
"""
FACTORY_SFT = """\
model_name_or_path: Qwen/Qwen3-4B-Instruct-2507
trust_remote_code: true
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
dataset: identity
template: qwen3_nothink
cutoff_len: 2048
max_samples: 1000
output_dir: saves/qwen3-4b/lora/sft
logging_steps: 10
save_steps: 500
save_only_model: false
report_to: none
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
resume_from_checkpoint: null
"""


def recipe_of(draft: Draft) -> Recipe:
    """The recipe written from the draft, read back."""
    chosen = {"data.train": Chosen("rows.jsonl", "")} | draft.chosen
    return parse_recipe(commented_recipe(chosen, [left.asked for left in draft.left_out]), "recipe.yaml", Path()).recipe


def draft(text: str, base: KnownBase | None = None) -> Draft:
    return translate(read_foreign(text, "f.yml"), base)


def values(made: Draft) -> dict[str, object]:
    return {key: chosen.value for key, chosen in made.chosen.items()}


def left(made: Draft) -> dict[str, str]:
    """Key -> where, of what was left out."""
    return {item.key: item.where for item in made.left_out}


# -- whole files


def test_without_regret(base_of: BaseOf) -> None:
    """Hidden size 64: 10 x (2000 / 64) x 1e-4 = 0.03125."""
    made = draft(WITHOUT_REGRET, base_of("untied"))
    assert values(made) == {
        "lora.r": 64,
        "lora.lora_alpha": 32,
        "lora.lora_dropout": 0.0,
        "lora.target_modules": [
            *("up_proj", "down_proj", "gate_proj", "q_proj", "k_proj", "v_proj", "o_proj", "lm_head")
        ],
        "lora.init_lora_weights": True,
        "training.learning_rate": 0.0312,
    }
    assert made.left_out == []
    assert "10 x (2000 / 64) x 0.0001, 64 being this base's width (f.yml:15)" in (
        made.chosen["training.learning_rate"].reason
    )
    assert recipe_of(made).lora.r == 64


def test_without_regret_on_the_documents_own_example(base_of: BaseOf) -> None:
    """Llama-3.1-8B, hidden size 4096: about 5e-4."""
    from dataclasses import replace

    made = draft("lr_multiplier: 10", replace(base_of("llama"), hidden_size=4096))
    assert values(made) == {"training.learning_rate": 0.000488}


def test_without_regret_on_other_bases(base_of: BaseOf) -> None:
    tied = draft(WITHOUT_REGRET, base_of("gpt2"))
    assert values(tied)["lora.target_modules"] == ["c_fc", "mlp.c_proj", "c_attn", "attn.c_proj"]
    assert [(item.where, item.value) for item in tied.left_out] == [
        ("f.yml:7", "mlp.gate_proj"),
        ("f.yml:12", "lm_head"),
    ]
    experts = draft(WITHOUT_REGRET, base_of("mixtral"))
    assert values(experts)["lora.target_modules"] == [
        *("mlp.experts.gate_up_proj", "mlp.experts.down_proj", "q_proj", "k_proj", "v_proj", "o_proj", "lm_head")
    ]
    assert experts.left_out == []


def test_without_regret_and_no_base_to_look_at() -> None:
    made = draft(WITHOUT_REGRET)
    assert values(made)["lora.target_modules"][:4] == ["mlp.up_proj", "mlp.down_proj", "mlp.gate_proj", "attn.q_proj"]  # type: ignore[index]
    assert left(made) == {"lr_multiplier": "f.yml:15"}
    assert "hidden size" in made.left_out[0].why


def test_the_template_of_best_practices(base_of: BaseOf) -> None:
    made = draft(TEMPLATE, base_of("llama"))
    recipe = recipe_of(made)
    assert (recipe.lora.r, recipe.lora.lora_alpha, recipe.lora.lora_dropout) == (16, 32, 0.05)
    assert recipe.lora.target_modules == [
        *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "mlp")
    ]
    training = recipe.training
    assert (training.learning_rate, training.weight_decay) == (2e-4, 1e-5)
    assert (training.optim, training.lr_scheduler_type) == ("adamw_torch", "cosine")
    assert [(item.where, item.value) for item in made.left_out] == [("f.yml:5", "mlp_proj")]


def test_axolotl() -> None:
    made = draft(AXOLOTL_QLORA)
    assert values(made) == {
        "model": "NousResearch/Llama-3.2-1B",
        "data.train": "teknium/GPT4-LLM-Cleaned",
        "data.held_out": 0.1,
        "data.max_length": 2048,
        "data.too_long": "drop",
        "method": "qlora",
        "quantization": "nf4",
        "lora.r": 32,
        "lora.lora_alpha": 16,
        "lora.lora_dropout": 0.05,
        "lora.target_modules": ["gate_proj", "q_proj"],
        "training.gradient_accumulation_steps": 4,
        "training.per_device_train_batch_size": 2,
        "training.num_train_epochs": 1,
        "training.lr_scheduler_type": "cosine",
        "training.learning_rate": 0.0002,
        "training.logging_steps": 1,
        "training.warmup_ratio": 0.1,
        "training.weight_decay": 0.0,
        "training.gradient_checkpointing": True,
    }
    assert left(made) == {
        "dataset_prepared_path": "f.yml:7",
        "output_dir": "f.yml:9",
        "sample_packing": "f.yml:13",
        "optimizer": "f.yml:24",
        "evals_per_epoch": "f.yml:32",
        "special_tokens": "f.yml:34",
    }
    assert recipe_of(made).data.too_long == "drop"


def test_llama_factory() -> None:
    made = draft(FACTORY_SFT)
    assert values(made) == {
        "model": "Qwen/Qwen3-4B-Instruct-2507",
        "objective": "sft",
        "method": "lora",
        "data.max_length": 2048,
        "data.too_long": "truncate",
        "lora.r": 8,
        "lora.target_modules": "all-linear",
        "training.logging_steps": 10,
        "training.save_steps": 500,
        "training.per_device_train_batch_size": 1,
        "training.gradient_accumulation_steps": 8,
        "training.learning_rate": 1e-4,
        "training.num_train_epochs": 3.0,
        "training.lr_scheduler_type": "cosine",
        "training.warmup_ratio": 0.1,
        "training.bf16": True,
    }
    assert left(made).keys() == {
        *("trust_remote_code", "dataset", "template", "max_samples", "output_dir", "ddp_timeout")
    }
    assert recipe_of(made).method == "lora"


def test_an_adapters_own_config_says_its_settings_and_no_more() -> None:
    """As PEFT writes it, with all its defaults."""
    from peft import LoraConfig

    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    made = draft(json.dumps(config.to_dict() | {"target_modules": ["q_proj", "v_proj"]}, indent=2, default=str))
    assert values(made) == {
        "method": "lora",
        "task": "causal_lm",
        "lora.r": 4,
        "lora.lora_alpha": 8,
        "lora.lora_dropout": 0.0,
        "lora.target_modules": ["q_proj", "v_proj"],
        "lora.bias": "none",
        "lora.use_rslora": False,
        "lora.init_lora_weights": True,
    }
    assert made.left_out == []


def test_what_an_adapter_has_beyond_a_recipe_is_listed() -> None:
    config = {
        **{"peft_type": "ADALORA", "task_type": "SEQ_CLS", "base_model_name_or_path": "org/base", "use_dora": True},
        **{"target_modules": "model\\.layers\\.\\d+\\..*", "modules_to_save": ["score"]},
        **{"init_lora_weights": "pissa", "revision": "main"},
    }
    made = draft(json.dumps(config, indent=1))
    chosen = {"model": "org/base", "method": "adalora", "task": "seq_cls", "lora.init_lora_weights": "pissa"}
    assert values(made) == chosen
    carried = {"base_model_name_or_path", "peft_type", "task_type", "init_lora_weights"}
    assert left(made).keys() == config.keys() - carried


def test_patterns_get_this_bases_names_and_expressions_stay(base_of: BaseOf) -> None:
    ranks = {"q_lin": 2, "layers.0.self_attn.k_proj": 4, "out_lin": 8, "nowhere": 16, r".*\.mlp\..*": 32}
    made = draft(json.dumps({"peft_type": "LORA", "rank_pattern": ranks}, indent=1), base_of("llama"))
    assert list(values(made)["lora.rank_pattern"].items()) == [
        *(("q_proj", 2), ("layers.0.self_attn.k_proj", 4), ("o_proj", 8), (r".*\.mlp\..*", 32))
    ]
    assert [(item.key, item.value, item.where) for item in made.left_out] == [("rank_pattern.nowhere", 16, "f.yml:7")]


# -- single keys


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("adapter: lora", "method", "lora"),
        ("lora_r: 8\nlora_target_linear: true", "lora.target_modules", "all-linear"),
        ("lora_r: 8\nlora_target_modules: [q_proj]\nlora_target_linear: false", "lora.target_modules", ["q_proj"]),
        ("lora_r: 8\nlora_target_modules: q_proj,v_proj", "lora.target_modules", ["q_proj", "v_proj"]),
        ("lora_r: 8\npeft_use_rslora: true", "lora.use_rslora", True),
        ("lora_r: 8\npeft_init_lora_weights: gaussian", "lora.init_lora_weights", "gaussian"),
        ("lora_r: 8\nlearning_rate: '3e-4'", "training.learning_rate", 3e-4),
        ("lora_r: 8\nbf16: full", "training.bf16", True),
        ("lora_r: 8\nbf16: false", "training.bf16", False),
        ("lora_r: 8\nmax_steps: 200\nwarmup_steps: 10", "training.warmup_ratio", 0.05),
        ("lora_r: 8\nmax_steps: 0\nwarmup_steps: 0", "training.warmup_ratio", 0.0),
        ("sequence_len: 64\nexcess_length_strategy: raise", "data.too_long", "error"),
        ("sequence_len: 64\nexcess_length_strategy: truncate", "data.too_long", "truncate"),
        ("lora_r: 8\nlora_model_dir: ./earlier", "adapter", "./earlier"),
        ("lora_r: 8\nearly_stopping_patience: 2", "training.early_stopping_patience", 2),
        ("lora_r: 8\ndatasets: [{path: a.jsonl, type: alpaca}]", "data.train", "a.jsonl"),
        ("lora_r: 8\ndatasets: [{path: json, data_files: [a.json], ds_type: json}]", "data.train", "a.json"),
        ("lora_r: 8\ndatasets: [{path: o/n, split: 'train[:9%]'}]", "data.train", "o/n:train[:9%]"),
        ("lora_r: 8\ndatasets: [{path: o/n, split: train}]", "data.train", "o/n"),
        ("lora_r: 8\ntest_datasets: [{path: t.jsonl}]", "data.held_out", "t.jsonl"),
        ("finetuning_type: lora\nlora_target: q_proj, v_proj", "lora.target_modules", ["q_proj", "v_proj"]),
        ("finetuning_type: lora\nmask_history: true", "data.assistant_turns", "last"),
        ("finetuning_type: lora\nval_size: 0.2", "data.held_out", 0.2),
        ("finetuning_type: lora\noptim: adamw_torch", "training.optim", "adamw_torch"),
        ("finetuning_type: lora\nadapter_name_or_path: saves/a", "adapter", "saves/a"),
        ("lora_rank: 8\ninit_A: gaussian", "lora.init_lora_weights", "gaussian"),
        ("lora_rank: 8\ninit_B: zero", "lora.init_lora_weights", True),
        ("adapter: qlora", "method", "qlora"),
        ("finetuning_type: full", "method", "full"),
        ("finetuning_type: lora\nstage: dpo", "objective", "dpo"),
        ("adapter: lora\nload_in_8bit: true", "quantization", "int8"),
        ("adapter: lora\npeft_use_dora: true", "method", "dora"),
        ("finetuning_type: lora\nquantization_bit: 4", "quantization", "nf4"),
        ("finetuning_type: lora\npissa_init: true", "lora.init_lora_weights", "pissa"),
        ("peft_type: LORA\ntarget_modules: all-linear", "lora.target_modules", "all-linear"),
        ("lora_r: 8\npeft_layers_to_transform: [0, 3]", "lora.layers_to_transform", [0, 3]),
        ("peft_type: LORA\nlayers_to_transform: 5", "lora.layers_to_transform", [5]),
        ("peft_type: LORA\nalpha_pattern: {q_proj: 2}", "lora.alpha_pattern", {"q_proj": 2}),
        ("peft_type: LORA\ntarget_parameters: [experts.down_proj]", "lora.target_parameters", ["experts.down_proj"]),
        (
            "lora_r: 8\nlora_target_parameters: [mlp.experts.gate_up_proj]",
            "lora.target_parameters",
            ["mlp.experts.gate_up_proj"],
        ),
        ("lora: {rank_pattern: {q_proj: 2}, layers_to_transform: [1]}", "lora.rank_pattern", {"q_proj": 2}),
        ("training: {early_stopping_patience: null}\nlora: {r: 2}", "training.early_stopping_patience", None),
        ("lora: {r: 2}\ndomain: legal", "domain", "legal"),
    ],
)
def test_a_key_is_carried(text: str, key: str, value: object) -> None:
    made = draft(text)
    assert values(made)[key] == value
    recipe_of(made)


@pytest.mark.parametrize(
    ("text", "key", "where", "why"),
    [
        ("lora_r: 8", "adapter", "f.yml", "trains the whole base"),
        ("adapter: lora\nlora_target_modules: '.*_proj$'", "lora_target_modules", "f.yml:2", "pattern"),
        (
            "adapter: lora\nlora_target_linear: true\nlora_target_modules: [q_proj]",
            *("lora_target_modules", "f.yml:3", "every linear layer already"),
        ),
        ("adapter: lora\nwarmup_steps: 10", "warmup_steps", "f.yml:2", "training.warmup_ratio"),
        ("adapter: lora\nval_set_size: 0", "val_set_size", "f.yml:2", "always held out"),
        ("adapter: lora\nval_set_size: 500", "val_set_size", "f.yml:2", "a count of rows"),
        ("adapter: lora\neval_steps: 0.2", "eval_steps", "f.yml:2", "whole number"),
        ("adapter: lora\nrl: dpo", "rl", "f.yml:2", "keys of their own"),
        ("adapter: lora\ntrain_on_inputs: true", "train_on_inputs", "f.yml:2", "never trained on"),
        ("adapter: lora\nshuffle_merged_datasets: false", "shuffle_merged_datasets", "f.yml:2", "shuffled anew"),
        ("adapter: lora\nwandb_project: mine", "wandb_project", "f.yml:2", "run folder"),
        ("adapter: lora\nmade_up: 3", "made_up", "f.yml:2", "no such key"),
        ("adapter: lora\nmade_up: false", "made_up", "f.yml:2", "no such key"),
        ("adapter: lora\ndatasets:\n- path: a.jsonl\n- path: b.jsonl", "datasets", "f.yml:4", "join them"),
        ("adapter: lora\ndatasets:\n- path: a.jsonl\n  type: completion", "datasets.type", "f.yml:4", "raw text"),
        ("adapter: lora\ndatasets:\n- path: a\n  field_messages: x", "datasets.field_messages", "f.yml:4", "own keys"),
        ("adapter: lora\ndatasets:\n- path: a.jsonl\n  split: test", "datasets.split", "f.yml:4", "no splits"),
        ("adapter: lora\ndatasets:\n- a.jsonl", "datasets", "f.yml:3", "expected path"),
        ("finetuning_type: freeze", "finetuning_type", "f.yml:1", "cannot run freeze"),
        ("finetuning_type: lora\nstage: kto", "stage", "f.yml:2", "sft, dpo and grpo"),
        ("finetuning_type: lora\nquantization_bit: 3", "quantization_bit", "f.yml:2", "4 or 8 bits"),
        ("finetuning_type: lora\nuse_dora: maybe", "use_dora", "f.yml:2", "true or false"),
        ("lora_rank: 8\ninit_A: orthogonal", "init_A", "f.yml:2", "uniform or gaussian"),
        ("lora_rank: 8\ninit_A: uniform\ninit_B: normal", "init_B", "f.yml:3", "starts at zero"),
        ("lora_rank: 8\ninit_A: uniform\ninit_B: normal", "init_A", "f.yml:2", "would not start as the base"),
        ("lora_rank: 8\nlr_multiplier: 10", "lr_multiplier", "f.yml:2", "hidden size"),
        ("peft_type: LORA\nlayers_to_transform: [0]\nlayers_pattern: h", "layers_pattern", "f.yml:3", "first number"),
        ("peft_type: LORA\nexclude_modules: [k_proj]", "exclude_modules", "f.yml:2", "lora.target_modules"),
        ("peft_type: LORA\nrank_pattern:\n  'a(': 8", "rank_pattern", "f.yml:2", "no regular expression"),
        ("peft_type: LORA\nrank_pattern: 8", "rank_pattern", "f.yml:2", "a mapping from patterns"),
        ("lora: {r: 2, rank: 3}", "lora.rank", "f.yml:1", "did you mean lora.r?"),
        ("lora: {r: 2}\ntraining: 5", "training", "f.yml:2", "keys, not a value"),
        ("lora: {r: 2}\nwhatever: {a: 1}", "whatever", "f.yml:2", "unknown key"),
        ("lora: {r: 5000}", "lora.r", "f.yml:1", "from 1 to 1024"),
    ],
)
def test_a_key_is_listed_with_its_line_and_the_reason(text: str, key: str, where: str, why: str) -> None:
    made = draft(text)
    found = [item for item in made.left_out if item.key == key]
    assert [item.where for item in found] == [where], made.left_out
    assert why in found[0].why
    recipe_of(made)


@pytest.mark.parametrize(
    "text",
    [
        "adapter: lora\nload_in_4bit: false\ntf32: false\nwandb_project:\ntokens: []\nbf16: auto\nstrict: false",
        "finetuning_type: lora\nmax_steps: -1\nreport_to: none\nplot_loss: false\ndeepspeed: null\nuse_dora: false",
        "peft_type: LORA\nfan_in_fan_out: true\nmodules_to_save: null\nrank_pattern: {}\ninference_mode: true",
        "lora: {r: auto}\ntraining: {optim: auto, max_steps: null}\ndata:\ndoctrine: rankwise",
    ],
)
def test_what_asks_for_nothing_is_neither_carried_nor_listed(text: str) -> None:
    made = draft(text)
    assert made.left_out == [] and values(made).keys() <= {"method"}


@pytest.mark.parametrize(
    ("kind", "text", "rank", "why"),
    [
        ("mixtral", "lora_rank_per_expert: 32", 32, None),
        ("mixtral", "lora_rank: 64\nlora_rank_per_expert: 32", 32, None),
        ("llama", "lora_rank_per_expert: 32", None, "no experts"),
    ],
)
def test_a_rank_per_expert(kind: str, text: str, rank: int | None, why: str | None, base_of: BaseOf) -> None:
    made = draft(text, base_of(kind))
    assert values(made).get("lora.rank_per_expert") == rank
    assert values(made).get("lora.r") == (64 if "lora_rank:" in text else None)
    assert len(made.left_out) == (why is not None)
    assert why is None or why in made.left_out[0].why


# -- reading


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        *((WITHOUT_REGRET, GUIDE), (TEMPLATE, SECTIONED), (AXOLOTL_QLORA, AXOLOTL), (FACTORY_SFT, LLAMA_FACTORY)),
        ("peft_type: LORA\nr: 8", PEFT),
        ("lora_rank: 8\nlora_alpha: 4\nfinetuning_type: lora", LLAMA_FACTORY),
    ],
)
def test_a_files_keys_tell_what_it_is(text: str, dialect: object) -> None:
    assert read_foreign(text, "f").dialect is dialect


@pytest.mark.parametrize("text", ["", "[]", "hello", "foo: 1", "42"])
def test_a_file_of_no_known_kind_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="none of its keys tells what it is"):
        read_foreign(text, "f.yml")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("adapter: lora\nlora_r: [1", "f.yml:2"),
        ("adapter: lora\nadapter: lora", "f.yml:2"),
        ("a: !!python/x 1", "f.yml:1"),
    ],
)
def test_faults_of_the_file_itself_have_their_line(text: str, where: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_foreign(text, "f.yml")
    assert where in {problem.where for problem in caught.value.problems}


def test_the_base_a_file_names() -> None:
    assert read_foreign(AXOLOTL_QLORA, "f").model == "NousResearch/Llama-3.2-1B"
    assert read_foreign("lora: {r: 1}\nmodel: ./x", "f").model == "./x"
    assert read_foreign(WITHOUT_REGRET, "f").model is None
    assert read_foreign("base_model: [1]\nlora_r: 1", "f").model is None


@pytest.mark.parametrize("data", [None, b"\xff\xfe\x00", "a folder"])
def test_files_that_cannot_be_read(data: bytes | str | None, tmp_path: Path) -> None:
    file = tmp_path / "guide.yaml"
    if isinstance(data, bytes):
        file.write_bytes(data)
    elif data is not None:
        file.mkdir()
    with pytest.raises(RecipeError, match=r"cannot be read.*expected a configuration"):
        load_foreign(file)


def test_tables_name_only_keys_a_recipe_has() -> None:
    for dialect in DIALECTS:
        assert set(dialect.same.values()) <= LEAVES.keys(), dialect.name
        assert not dialect.same.keys() & RULES[dialect.name].keys(), dialect.name
    assert {dialect.name for dialect in DIALECTS} == RULES.keys()


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5000)
    | st.floats()
    | st.sampled_from(["lora", "a.jsonl", "", "#", "é\x07"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["path", "type", "r", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_a_file_holds_its_recipe_is_valid_and_nothing_is_lost(data: st.DataObject) -> None:
    dialect = data.draw(st.sampled_from(DIALECTS))
    known = sorted({*dialect.same, *RULES[dialect.name], *dialect.marks, *dialect.neutral, "made_up"})
    entries = data.draw(st.dictionaries(st.sampled_from(known), ANY, min_size=1, max_size=6))
    entries.setdefault(data.draw(st.sampled_from(sorted(dialect.marks))), 1)
    text = (
        json.dumps(entries, indent=1).replace("NaN", ".nan").replace("-Infinity", "-.inf").replace("Infinity", ".inf")
    )
    made = draft(text)
    recipe_of(made)
    told = " ".join([*(chosen.reason for chosen in made.chosen.values()), *(item.key for item in made.left_out)])
    for key, value in entries.items():
        silent = value in (None, "", [], {}) or value is False or dialect.neutral.get(key, None) in (..., value)
        elsewhere = ("init_B", "encoder_hidden_size")  # the one belongs to init_A, the other to a projection that is on
        if not silent and dialect is not SECTIONED and key not in elsewhere:
            assert key in told, (key, value)
