from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankwise.errors import RecipeError
from rankwise.recipe import Asked, Recipe, load_recipe, parse_recipe, with_overrides
from rankwise.recipe.keys import LEAVES

TOP = (
    "Keys at the top level: model, domain, task, problem_type, objective, goal, data, doctrine, method, adapter, "
    "lora, prefix, training, dpo, grpo, prompt, quantization, shared_prefix, tracking, serving"
)
LORA_KEYS = (
    "r, lora_alpha, lora_dropout, target_modules, bias, use_rslora, init_lora_weights, layers_to_transform, "
    "rank_pattern, alpha_pattern, target_parameters, rank_per_expert"
)
LORA = f"Keys of lora: {LORA_KEYS}"
DATA = "Keys of data: train, held_out, max_length, too_long, instruction, assistant_turns"
NOTHING = "set data.train to a file or hub id, or domain to train on its sample rows"
OPTIM = "training.optim is given twice, first at recipe.yaml:4 (optim and optimizer are one key); keep one"

TEMPLATE = """\
lora:
  r: 16
  lora_alpha: 32              # 2*rank ✅
  lora_dropout: 0.05
  target_modules:             # ALL MLP + Attention ✅
    - q_proj
    - k_proj
    - v_proj
    - o_proj
    - gate_proj
    - up_proj
    - down_proj
    - mlp
    - mlp_proj

training:
  learning_rate: 2e-4         # 10x higher LR ✅
  weight_decay: 1e-5          # Low weight decay
  optimizer: "adamw_torch"
  lr_scheduler_type: "cosine"
"""

FULL = """\
model: smollm2-135m
domain: financial
task: auto
objective: sft
data:
  train: reports.jsonl
  held_out: test.jsonl
  max_length: auto
  instruction: null
doctrine: rankwise
method: auto
adapter: null
lora: {r: auto, lora_alpha: auto, lora_dropout: auto, target_modules: auto, bias: auto}
training: {learning_rate: auto, num_train_epochs: auto, max_steps: null, per_device_train_batch_size: auto, \
gradient_accumulation_steps: auto, save_steps: auto, seed: 0}
quantization: auto
shared_prefix: auto
tracking: null
serving: {target: null}
"""


def parse(text: str, *overrides: str) -> Asked:
    return parse_recipe(text, "recipe.yaml", Path("there"), overrides)


def problems(text: str, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        parse(text, *overrides)
    assert all(problem.severity == "error" for problem in caught.value.problems)
    return [f"{p.where}: {p.message} [{p.code}]" for p in caught.value.problems]


MALFORMED: dict[str, tuple[str, list[str]]] = {
    "unknown key in a section": (
        "domain: financial\nlora:\n  r: 16\n  rnak: 8\n",
        [f"recipe.yaml:4: unknown key lora.rnak; did you mean lora.r? {LORA} [unknown-key]"],
    ),
    "unknown key, misspelt": (
        "domain: financial\ndoctrin: rankwise\n",
        [f"recipe.yaml:2: unknown key doctrin; did you mean doctrine? {TOP} [unknown-key]"],
    ),
    "unknown key, like nothing": (
        "domain: financial\nzzz: 1\n",
        [f"recipe.yaml:2: unknown key zzz. {TOP} [unknown-key]"],
    ),
    "hyphens for underscores": (
        "domain: financial\nlora:\n  lora-alpha: 8\n",
        [f"recipe.yaml:3: unknown key lora.lora-alpha; did you mean lora.lora_alpha? {LORA} [unknown-key]"],
    ),
    "key of another section at the top": (
        "domain: financial\nlearning_rate: 2e-4\n",
        [
            f"recipe.yaml:2: unknown key learning_rate; it belongs under training, as training.learning_rate. {TOP} "
            "[unknown-key]"
        ],
    ),
    "top-level key in a section": (
        "domain: financial\nlora:\n  model: x\n",
        [f"recipe.yaml:3: unknown key lora.model; it belongs at the top level. {LORA} [unknown-key]"],
    ),
    "names of other tools": (
        "domain: financial\nlora_rank: 8\nalpha: 16\nlr: 1e-3\nepochs: 3\nbatch_size: 4\n",
        [
            f"recipe.yaml:2: unknown key lora_rank; did you mean lora.r? {TOP} [unknown-key]",
            f"recipe.yaml:3: unknown key alpha; did you mean lora.lora_alpha? {TOP} [unknown-key]",
            f"recipe.yaml:4: unknown key lr; did you mean training.learning_rate? {TOP} [unknown-key]",
            f"recipe.yaml:5: unknown key epochs; did you mean training.num_train_epochs? {TOP} [unknown-key]",
            "recipe.yaml:6: unknown key batch_size; did you mean training.per_device_train_batch_size? "
            f"{TOP} [unknown-key]",
        ],
    ),
    "section of another tool": (
        "domain: financial\ntrain:\n  seed: 1\n",
        [f"recipe.yaml:2: unknown key train; did you mean training? {TOP} [unknown-key]"],
    ),
    "dotted key in the file": (
        "domain: financial\nlora.r: 16\n",
        ["recipe.yaml:2: unknown key lora.r: in the file, write lora: and, indented below it, r: [unknown-key]"],
    ),
    "number in quotes": (
        'domain: financial\nlora:\n  r: "16"\n',
        [
            'recipe.yaml:3: lora.r is the text "16"; expected a whole number from 1 to 1024, or auto. '
            "Write 16 without quotes [wrong-type]"
        ],
    ),
    "boolean for a whole number": (
        "domain: financial\nlora:\n  r: true\n",
        ["recipe.yaml:3: lora.r is true; expected a whole number from 1 to 1024, or auto [wrong-type]"],
    ),
    "boolean for a number": (
        "domain: financial\ntraining:\n  learning_rate: false\n",
        ["recipe.yaml:3: training.learning_rate is false; expected a number above 0, or auto [wrong-type]"],
    ),
    "fraction for a whole number": (
        "domain: financial\nlora:\n  r: 16.0\n",
        ["recipe.yaml:3: lora.r is 16.0; expected a whole number from 1 to 1024, or auto [wrong-type]"],
    ),
    "whole number for a boolean": (
        "domain: financial\nlora:\n  use_rslora: 1\nshared_prefix: 0\n",
        [
            "recipe.yaml:3: lora.use_rslora is 1; expected true, false, or auto [wrong-type]",
            "recipe.yaml:4: shared_prefix is 0; expected true, false, or auto [wrong-type]",
        ],
    ),
    "yes for a boolean": (
        "domain: financial\ntraining:\n  bf16: yes\n",
        ['recipe.yaml:3: training.bf16 is the text "yes"; expected true, false, or auto [wrong-type]'],
    ),
    "below the bounds": (
        "domain: financial\nlora:\n  r: 0\n  lora_alpha: -1\n",
        [
            "recipe.yaml:3: lora.r is 0; expected a whole number from 1 to 1024, or auto [out-of-bounds]",
            "recipe.yaml:4: lora.lora_alpha is -1; expected a number above 0, or auto [out-of-bounds]",
        ],
    ),
    "above the bounds": (
        "domain: financial\nlora:\n  r: 1025\n  lora_dropout: 1\ntraining:\n  seed: 4294967296\n  warmup_ratio: 1.5\n",
        [
            "recipe.yaml:3: lora.r is 1025; expected a whole number from 1 to 1024, or auto [out-of-bounds]",
            "recipe.yaml:4: lora.lora_dropout is 1; expected a number of at least 0 and below 1, or auto "
            "[out-of-bounds]",
            "recipe.yaml:6: training.seed is 4294967296; expected a whole number from 0 to 4294967295 [out-of-bounds]",
            "recipe.yaml:7: training.warmup_ratio is 1.5; expected a number from 0 to 1, or auto [out-of-bounds]",
        ],
    ),
    "not finite": (
        "domain: financial\ntraining:\n  learning_rate: .inf\n  weight_decay: .nan\n",
        [
            "recipe.yaml:3: training.learning_rate is infinite; expected a number above 0, or auto [out-of-bounds]",
            "recipe.yaml:4: training.weight_decay is not a number; expected a number of at least 0, or auto "
            "[out-of-bounds]",
        ],
    ),
    "no such choice": (
        "domain: financial\ntraining:\n  optim: adamw_troch\n  lr_scheduler_type: step\n",
        [
            'recipe.yaml:3: training.optim is the text "adamw_troch"; expected adamw_torch, adamw_torch_fused, '
            "or auto; did you mean adamw_torch? [unknown-value]",
            'recipe.yaml:4: training.lr_scheduler_type is the text "step"; expected cosine, linear, constant, '
            "constant_with_warmup, or auto [unknown-value]",
        ],
    ),
    "nothing else supported yet": (
        "domain: financial\nobjective: ppo\ntracking: tensorbord\nserving: {target: vllm}\n",
        [
            'recipe.yaml:2: objective is the text "ppo"; expected sft, dpo, or grpo; did you mean dpo? [unknown-value]',
            'recipe.yaml:3: tracking is the text "tensorbord"; expected tensorboard, mlflow, wandb, trackio, or null; '
            "did you mean tensorboard? [unknown-value]",
            'recipe.yaml:4: serving.target is the text "vllm"; expected null (nothing else is supported) [wrong-type]',
        ],
    ),
    "text where a list belongs": (
        "domain: financial\nlora:\n  target_modules: q_proj, v_proj\n",
        [
            'recipe.yaml:3: lora.target_modules is the text "q_proj, v_proj"; expected a list of names, all-linear, '
            "or auto. Write a list in brackets: [q_proj, v_proj] [wrong-type]"
        ],
    ),
    "wrong items in a list": (
        "domain: financial\nlora:\n  target_modules:\n    - q_proj\n    - 3\n    -\n",
        [
            "recipe.yaml:5: item 2 of lora.target_modules is 3; expected a name [wrong-type]",
            "recipe.yaml:6: item 3 of lora.target_modules is empty; expected a name [wrong-type]",
        ],
    ),
    "empty list": (
        "domain: financial\nlora:\n  target_modules: []\n",
        [
            "recipe.yaml:3: lora.target_modules is an empty list; expected a list of names, all-linear, or auto "
            "[empty-value]"
        ],
    ),
    "wrong numbers in a list": (
        "domain: financial\nlora:\n  layers_to_transform: [0, -1, x, 1.5]\n",
        [
            "recipe.yaml:3: item 2 of lora.layers_to_transform is -1; expected a whole number of at least 0 "
            "[out-of-bounds]",
            'recipe.yaml:3: item 3 of lora.layers_to_transform is the text "x"; expected a whole number of at least 0 '
            "[wrong-type]",
            "recipe.yaml:3: item 4 of lora.layers_to_transform is 1.5; expected a whole number of at least 0 "
            "[wrong-type]",
        ],
    ),
    "number where a list belongs": (
        "domain: financial\nlora:\n  layers_to_transform: 3\n",
        [
            "recipe.yaml:3: lora.layers_to_transform is 3; expected a list of whole numbers of at least 0, or null "
            "[wrong-type]"
        ],
    ),
    "wrong entries of a mapping": (
        "domain: financial\nlora:\n  rank_pattern:\n    q_proj: 0\n    k_proj: 8\n    v_proj: many\n    'a(': 2\n"
        "    '': 3\n    up_proj:\n  alpha_pattern: {q_proj: -1.5}\n",
        [
            "recipe.yaml:4: q_proj of lora.rank_pattern is 0; expected a whole number from 1 to 1024 [out-of-bounds]",
            'recipe.yaml:6: v_proj of lora.rank_pattern is the text "many"; expected a whole number from 1 to 1024 '
            "[wrong-type]",
            "recipe.yaml:7: the pattern a( of lora.rank_pattern is no regular expression (missing ), unterminated "
            "subpattern at position 1); escape what is meant as it stands [bad-pattern]",
            "recipe.yaml:8: a pattern of lora.rank_pattern is empty; expected the name of a layer [empty-value]",
            "recipe.yaml:9: up_proj of lora.rank_pattern is empty; expected a whole number from 1 to 1024 [wrong-type]",
            "recipe.yaml:10: q_proj of lora.alpha_pattern is -1.5; expected a number above 0 [out-of-bounds]",
        ],
    ),
    "text or list where a mapping belongs": (
        "domain: financial\nlora:\n  rank_pattern: q_proj\n  alpha_pattern: [q_proj]\n",
        [
            'recipe.yaml:3: lora.rank_pattern is the text "q_proj"; expected a mapping from patterns to whole numbers '
            "from 1 to 1024, or null [wrong-type]",
            "recipe.yaml:4: lora.alpha_pattern is a list; expected a mapping from patterns to numbers above 0, or null "
            "[wrong-type]",
        ],
    ),
    "empty mapping": (
        "domain: financial\nlora:\n  rank_pattern: {}\n",
        [
            "recipe.yaml:3: lora.rank_pattern is an empty mapping; expected a mapping from patterns to whole numbers "
            "from 1 to 1024, or null [empty-value]"
        ],
    ),
    "no value": (
        'domain: financial\nlora:\n  r:\nmodel: ""\n',
        [
            "recipe.yaml:3: lora.r has no value; expected a whole number from 1 to 1024, or auto, or leave the key "
            "out [empty-value]",
            "recipe.yaml:4: model has no value; expected text, or leave the key out [empty-value]",
        ],
    ),
    "mapping or list for a value": (
        "domain: [financial]\ntraining:\n  optimizer: {name: adamw}\n",
        [
            "recipe.yaml:1: domain is a list; expected text, or null [wrong-type]",
            "recipe.yaml:3: training.optim is a mapping; expected adamw_torch, adamw_torch_fused, or auto "
            "[unknown-value]",
        ],
    ),
    "section not a mapping": (
        "domain: financial\ndata: rows.jsonl\nlora: [r, 16]\n",
        [
            'recipe.yaml:2: data is the text "rows.jsonl"; expected keys below it: train, held_out, max_length, '
            "too_long, instruction, assistant_turns [not-a-mapping]",
            f"recipe.yaml:3: lora is a list; expected keys below it: {LORA_KEYS} [not-a-mapping]",
        ],
    ),
    "top level a list": (
        "- domain: financial\n",
        ["recipe.yaml:1: the top level is a list; expected keys such as model:, data: and lora: [not-a-mapping]"],
    ),
    "top level a text": (
        "financial\n",
        [
            'recipe.yaml:1: the top level is the text "financial"; expected keys such as model:, data: and lora: '
            "[not-a-mapping]"
        ],
    ),
    "duplicate key": (
        "domain: financial\nlora:\n  r: 8\n  r: 16\n",
        ["recipe.yaml:4: key r is given twice, first at recipe.yaml:3; keep one [duplicate-key]"],
    ),
    "duplicate section": (
        "domain: financial\nlora:\n  r: 8\nlora:\n  bias: none\n",
        ["recipe.yaml:4: key lora is given twice, first at recipe.yaml:2; keep one [duplicate-key]"],
    ),
    "optim and optimizer": (
        "domain: financial\n\ntraining:\n  optim: auto\n  optimizer: adamw_torch\n",
        [f"recipe.yaml:5: {OPTIM} [duplicate-key]"],
    ),
    "nothing to train on": (
        "model: smollm2-135m\nlora:\n  r: 8\n",
        [f"recipe.yaml: neither data.train nor domain is given; {NOTHING} [nothing-to-train-on]"],
    ),
    "nothing to train on, said with null": (
        "domain: null\ndata:\n  train:\n",
        [f"recipe.yaml: neither data.train nor domain is given; {NOTHING} [nothing-to-train-on]"],
    ),
    "empty": ("", [f"recipe.yaml: is empty; {NOTHING} (`rankwise init` writes a recipe) [recipe-empty]"]),
    "only comments": (
        "# domain: financial\n",
        [f"recipe.yaml: is empty; {NOTHING} (`rankwise init` writes a recipe) [recipe-empty]"],
    ),
    "tab": (
        "domain: financial\nlora:\n\tr: 8\n",
        ["recipe.yaml:3: a tab stands where YAML wants spaces; indent with spaces [yaml-tab]"],
    ),
    "open bracket": (
        "domain: financial\nlora: {r: 8\n",
        [
            "recipe.yaml:3: is not valid YAML: it ends before a bracket or quote is closed, while parsing a flow "
            "mapping that starts on line 2 [yaml-syntax]"
        ],
    ),
    "open quote": (
        'domain: "financial\n',
        [
            "recipe.yaml:2: is not valid YAML: it ends before a bracket or quote is closed, while scanning a quoted "
            "scalar that starts on line 1 [yaml-syntax]"
        ],
    ),
    "broken indentation": (
        "domain: financial\n  lora:\n    r: 8\n",
        [
            "recipe.yaml:2: is not valid YAML: mapping values are not allowed here (is the indentation right, and is a "
            "text with a colon in quotes?) [yaml-syntax]"
        ],
    ),
    "unknown alias": (
        "domain: *name\n",
        ["recipe.yaml:1: is not valid YAML: found undefined alias 'name' [yaml-syntax]"],
    ),
    "two documents": (
        "domain: financial\n---\ndomain: legal\n",
        ["recipe.yaml:2: a second document starts here (---); a recipe is one document [yaml-syntax]"],
    ),
    "unsafe tag": (
        "domain: financial\nadapter: !!python/object/apply:os.system [echo]\n",
        [
            "recipe.yaml:2: the tag !!python/object/apply:os.system is refused: a recipe holds only text, numbers, "
            "true, false, null, lists and mappings. Remove the tag [yaml-tag]"
        ],
    ),
    "binary tag": (
        "domain: !!binary aGk=\n",
        [
            "recipe.yaml:1: the tag !!binary is refused: a recipe holds only text, numbers, true, false, null, lists "
            "and mappings. Remove the tag [yaml-tag]"
        ],
    ),
    "merge key": (
        "domain: financial\nlora: &l {r: 8}\ntraining:\n  <<: *l\n",
        ["recipe.yaml:4: the merge key << is not supported; write the keys out [yaml-merge]"],
    ),
    "list as a key": (
        "domain: financial\n[a, b]: 1\n",
        ["recipe.yaml:2: a key is a list or a mapping; expected a name [bad-key]"],
    ),
    "alias within itself": (
        "domain: financial\nlora: &a {r: *a}\n",
        ["recipe.yaml:1: is nested deeper than 20 levels [recipe-too-large]"],
    ),
    "alias bomb": (
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{n}: &{n} [{', '.join([f'*{chr(ord(n) - 1)}'] * 10)}]\n" for n in "bcdefghi"),
        ["recipe.yaml:1: unfolds to more than 10000 values; write it without so many aliases [recipe-too-large]"],
    ),
    "deep nesting": ("[\n" * 5000, ["recipe.yaml:1: is nested deeper than 20 levels [recipe-too-large]"]),
    "huge": (
        "# " + "x" * 300_000,
        ["recipe.yaml:1: has 300002 characters; a recipe has at most 262144. Is this a data file? [recipe-too-large]"],
    ),
    "huge number": (
        "domain: financial\nlora:\n  r: " + "9" * 5000 + "\n",
        [f'recipe.yaml:3: cannot read "{"9" * 40}..." as a whole number; put it in quotes if it is text [bad-value]'],
    ),
    "tag that does not fit its value": (
        "domain: financial\ntraining:\n  bf16: !!bool maybe\n",
        ['recipe.yaml:3: cannot read "maybe" as true or false; put it in quotes if it is text [bad-value]'],
    ),
    "NUL": (
        "domain: financial\nmodel: a\x00b\n",
        ["recipe.yaml:2: holds the character U+0000, which YAML does not allow; remove it [bad-character]"],
    ),
    "escape beyond Unicode": (
        'domain: financial\nmodel: "\\UFFFFFFFF"\n',
        ["recipe.yaml:2: holds an escape (\\U) that is no character [bad-character]"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_recipe_gives_exactly_these_messages(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


def test_there_are_enough_malformed_recipes() -> None:
    assert len(MALFORMED) >= 25


def test_all_faults_come_at_once_in_the_order_of_the_file() -> None:
    found = problems("lora:\n  rnak: 1\n  r: 0\ntraining:\n  seed: -1\n  seed: 2\nzzz: 1\n", "lora.bias=maybe", "lora")
    assert [line.split(": ")[0] for line in found] == [
        "recipe.yaml",
        "recipe.yaml:2",
        "recipe.yaml:3",
        "recipe.yaml:5",
        "recipe.yaml:6",
        "recipe.yaml:7",
        "--set lora.bias=maybe",
        "--set lora",
    ]


MALFORMED_OVERRIDES: dict[str, tuple[list[str], list[str]]] = {
    "no value": (["lora.r"], ["--set lora.r: expected KEY=VALUE, such as lora.r=32 [bad-override]"]),
    "no key": (["=3"], ["--set =3: expected KEY=VALUE, such as lora.r=32 [bad-override]"]),
    "nothing after =": (
        ["lora.r="],
        ["--set lora.r=: lora.r gets no value; expected a whole number from 1 to 1024, or auto [bad-override]"],
    ),
    "section": (
        ["data={train: x}"],
        [
            "--set data={train: x}: data is a section; set one of its keys: data.train, data.held_out, "
            "data.max_length, data.too_long, data.instruction, data.assistant_turns [bad-override]"
        ],
    ),
    "unknown key": (
        ["data.trian=x"],
        [f"--set data.trian=x: unknown key data.trian; did you mean data.train? {DATA} [unknown-key]"],
    ),
    "unknown section": (
        ["lra.r=8"],
        [f"--set lra.r=8: unknown key lra.r; did you mean lora.r? {TOP} [unknown-key]"],
    ),
    "left out the section": (
        ["learning_rate=1"],
        [
            "--set learning_rate=1: unknown key learning_rate; it belongs under training, as training.learning_rate. "
            f"{TOP} [unknown-key]"
        ],
    ),
    "twice": (
        ["lora.r=8", "lora.r=16"],
        ["--set lora.r=16: lora.r is already set by --set lora.r=8; keep one [duplicate-override]"],
    ),
    "twice under two names": (
        ["training.optim=auto", "training.optimizer=auto"],
        [
            "--set training.optimizer=auto: training.optim is already set by --set training.optim=auto; keep one "
            "[duplicate-override]"
        ],
    ),
    "out of bounds": (
        ["lora.r=0"],
        ["--set lora.r=0: lora.r is 0; expected a whole number from 1 to 1024, or auto [out-of-bounds]"],
    ),
    "a colon read as a mapping": (
        ["data.instruction=Answer: yes"],
        [
            "--set data.instruction=Answer: yes: the value is not plain YAML; put text in quotes: "
            "--set data.instruction=\"'Answer: yes'\" [bad-override]"
        ],
    ),
    "an end read as a comment": (
        ["data.instruction=Report #3"],
        [
            "--set data.instruction=Report #3: the value is not plain YAML; put text in quotes: "
            "--set data.instruction=\"'Report #3'\" [bad-override]"
        ],
    ),
    "a mapping without brackets": (
        ["lora.rank_pattern=q_proj: 8"],
        [
            "--set lora.rank_pattern=q_proj: 8: the value is not plain YAML; write a mapping in brackets: "
            "--set 'lora.rank_pattern={q_proj: 8, k_proj: 4}' [bad-override]"
        ],
    ),
    "a pattern as a key": (
        ["lora.rank_pattern.q_proj=8"],
        [
            "--set lora.rank_pattern.q_proj=8: lora.rank_pattern is a mapping, set as a whole: "
            "--set 'lora.rank_pattern={q_proj: 8}' [bad-override]"
        ],
    ),
    "not YAML": (
        ["model=@x"],
        ["--set model=@x: the value is not plain YAML; put text in quotes: --set model=\"'@x'\" [bad-override]"],
    ),
}


@pytest.mark.parametrize(("overrides", "expected"), MALFORMED_OVERRIDES.values(), ids=MALFORMED_OVERRIDES)
def test_a_malformed_override_gives_exactly_these_messages(overrides: list[str], expected: list[str]) -> None:
    assert problems("domain: financial\n", *overrides) == expected


def test_the_published_template_is_valid_with_model_and_data_beside_it() -> None:
    recipe = parse("model: smollm2-135m\ndata:\n  train: rows.jsonl\n" + TEMPLATE).recipe
    assert recipe.lora.r == 16
    assert recipe.lora.lora_alpha == 32
    assert recipe.lora.lora_dropout == 0.05
    assert recipe.lora.target_modules == [
        *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "mlp", "mlp_proj")
    ]
    assert recipe.training.learning_rate == 2e-4
    assert recipe.training.weight_decay == 1e-5
    assert recipe.training.optim == "adamw_torch"
    assert recipe.training.lr_scheduler_type == "cosine"


def test_a_full_recipe_asks_for_what_it_says_and_auto_is_not_given() -> None:
    asked = parse(FULL)
    assert asked.recipe.data.train == "reports.jsonl"
    assert asked.recipe.data.held_out == "test.jsonl"
    assert asked.given == {
        *("model", "domain", "objective", "data.train", "data.held_out", "doctrine", "training.seed")
    }


def test_every_value_knows_its_line() -> None:
    asked = parse("domain: financial\n\nlora:\n  r: 8\ntraining: {optimizer: adamw_torch,\n  seed: 3}\n", "lora.r=32")
    assert asked.lines == {
        "domain": "recipe.yaml:1",
        "lora.r": "--set lora.r=32",
        "training.optim": "recipe.yaml:5",
        "training.seed": "recipe.yaml:6",
    }
    assert asked.where("lora.bias") == "recipe.yaml"
    assert asked.path("rows.jsonl") == Path("there/rows.jsonl")
    assert asked.path("/rows.jsonl") == Path("/rows.jsonl")


def test_null_is_a_value_only_where_it_means_something() -> None:
    asked = parse("domain: financial\nadapter: null\ntraining:\n  early_stopping_patience: null\n")
    assert asked.given == {"domain", "training.early_stopping_patience"}
    assert asked.recipe.training.early_stopping_patience is None


def test_a_section_left_empty_leaves_everything_to_the_plan() -> None:
    assert parse("domain: financial\nlora:\n  # r: 16\ntraining:\n").recipe == Recipe(domain="financial")


def test_aliases_of_plain_values_are_fine() -> None:
    recipe = parse("domain: financial\nlora:\n  r: &n 8\n  lora_alpha: *n\n").recipe
    assert (recipe.lora.r, recipe.lora.lora_alpha) == (8, 8.0)


@pytest.mark.parametrize(
    ("written", "value"),
    [("2e-4", 2e-4), ("2E-4", 2e-4), ("1", 1.0), ("1_000.5", 1000.5), ("+.5", 0.5), ("0x10", 16.0), ("0o17", 15.0)],
)
def test_numbers_as_yaml_writes_them(written: str, value: float) -> None:
    assert parse(f"domain: financial\ntraining:\n  learning_rate: {written}\n").recipe.training.learning_rate == value


def test_overriding_the_rank_leaves_alpha_to_follow() -> None:
    asked = parse("domain: financial\nlora:\n  r: 8\n", "lora.r=32")
    assert asked.recipe.lora.r == 32
    assert asked.recipe.lora.lora_alpha == "auto"
    assert "lora.lora_alpha" not in asked.given


def test_an_override_replaces_the_value_of_the_file_even_a_wrong_one_and_under_its_other_name() -> None:
    recipe = parse(
        "domain: financial\nlora:\n  r: 0\ntraining:\n  optimizer: sgd\n",
        *("lora.r=8", "training.optim=adamw_torch", "lora.target_modules=[q_proj, v_proj]", "data.instruction='a: #b'"),
    ).recipe
    assert recipe.lora.r == 8
    assert recipe.lora.target_modules == ["q_proj", "v_proj"]
    assert recipe.training.optim == "adamw_torch"
    assert recipe.data.instruction == "a: #b"


def test_defaults_with_overrides_need_no_file() -> None:
    asked = parse_recipe("", "<defaults>", Path(), ["domain=legal", "model=./base"])
    assert asked.recipe == Recipe(domain="legal", model=str(Path.cwd() / "base"))
    assert asked.where("model") == "--set model=./base"


def test_paths_are_relative_to_where_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the recipe to its folder, on the command line to the working folder; names and hub ids are left alone."""
    recipes, here = tmp_path / "recipes", tmp_path / "here"
    for folder in (recipes, here):
        (folder / "base").mkdir(parents=True)
    file = recipes / "recipe.yaml"
    file.write_text("model: base\ndata: {train: rows.jsonl}\n")
    monkeypatch.chdir(here)
    asked = load_recipe(file)
    assert asked.path(asked.recipe.model) == recipes / "base"
    for text, meant in (("base", here / "base"), ("./base", here / "base"), ("../x.gguf", here / "../x.gguf")):
        assert Path(load_recipe(file, [f"model={text}"]).recipe.model) == meant
    asked = load_recipe(file, ["data.train=new.jsonl", "data.held_out=0.2"])
    assert (asked.recipe.data.train, asked.recipe.data.held_out) == (str(here / "new.jsonl"), 0.2)
    assert with_overrides(asked, ["lora.r=4"]).recipe.data.train == str(here / "new.jsonl")
    for name in ("smollm2-135m", "owner/name"):
        assert load_recipe(file, [f"model={name}"]).recipe.model == name


VALID: dict[str, list[Any]] = {
    **{key: ["auto"] for key in LEAVES if LEAVES[key].default == "auto"},
    **{key: ["some/path: #1", "ü"] for key in ("model", "domain", "data.train", "data.instruction")},
    "serving.target": [None],
    "tracking": ["tensorboard", "mlflow", "wandb", "trackio", None],
    "data.held_out": ["test.jsonl", 0.2],
    "data.too_long": ["error", "drop", "truncate"],
    "data.assistant_turns": ["all", "last"],
    "objective": ["sft", "dpo", "grpo"],
    "dpo.beta": [0.1, "auto"],
    "dpo.loss_type": ["sigmoid", "hinge", "ipo"],
    "grpo.num_generations": [2, 8, "auto"],
    "grpo.beta": [0.0, 0.04, "auto"],
    "grpo.reward": ["auto", "exact_fields", "allowed_label"],
    "goal": ["adapt", "new_ability"],
    "doctrine": ["best-practices"],
    "adapter": ["runs/a/adapter", None],
    "training.max_steps": [10, None],
    "training.seed": [0, 7],
    "training.on_nonfinite": ["stop", "rollback"],
    "training.early_stopping_patience": ["auto", None, 2],
    "lora.r": [1, 16, 1024, "auto"],
    "lora.lora_alpha": [0.5, 32.0, "auto"],
    "lora.target_modules": [["q_proj"], ["q_proj", "mlp"], "all-linear", "auto"],
    "lora.use_rslora": [True, False, "auto"],
    "lora.init_lora_weights": [True, False, "gaussian", "pissa", "olora"],
    "lora.layers_to_transform": [[0], [3, 1], None],
    "lora.rank_pattern": [{"q_proj": 8}, {r".*\.0\..*": 1, "[kv]_proj": 1024}, None],
    "lora.alpha_pattern": [{"q_proj": 0.5}, None],
    "prefix.num_virtual_tokens": [1, 200, "auto"],
    "prefix.prefix_projection": [True, False, "auto"],
    "prefix.encoder_hidden_size": [64, "auto"],
    "prefix.init_weights": ["zero", None],
    "training.loraplus_lr_ratio": [1.0, 16.0],
    "shared_prefix": [True, False, "auto"],
    "training.learning_rate": [2e-4, 1e-5, "auto"],
    "training.bf16": [True, False],
}


@pytest.mark.parametrize("key", LEAVES)
def test_every_key_can_be_set(key: str) -> None:
    for value in VALID[key]:
        asked = parse("domain: financial\n" if key != "domain" else "data: {train: x}\n", f"{key}={json.dumps(value)}")
        found: Any = asked.recipe
        for part in key.split("."):
            found = getattr(found, part)
        is_file = key == "data.held_out" and isinstance(value, str)
        assert found == (str(Path(value).absolute()) if is_file else value)
        assert type(found) is type(value)
        assert asked.where(key) == f"--set {key}={json.dumps(value)}"


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, name = key.split(".")
        inside = values
        for section in sections:
            inside = inside.setdefault(section, {})
        inside[name] = value
    return values


@settings(max_examples=100, deadline=None)
@given(st.fixed_dictionaries({}, optional={key: st.sampled_from(VALID[key]) for key in LEAVES}))
def test_what_is_written_is_what_is_read(flat: dict[str, Any]) -> None:
    flat["data.train"] = "rows.jsonl"
    asked = parse(json.dumps(nested(flat), indent=1, ensure_ascii=False))
    assert asked.recipe == Recipe.model_validate(nested(flat))
    assert asked.lines.keys() & LEAVES.keys() == set(flat)
    assert parse(json.dumps(asked.recipe.model_dump())).recipe == asked.recipe


PIECES = [
    *(
        "domain: x\n",
        "lora:",
        "\n  ",
        "r: ",
        "- ",
        "? ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "&a ",
        "*a",
        "!x ",
        "!!int ",
        "---\n",
    ),
    *(
        "%YAML 1.1\n",
        "|\n",
        ">9",
        "\t",
        "'",
        '"',
        "\\x",
        "\\UFFFFFFFF",
        "#",
        "<<: ",
        "@",
        "\r",
        "\u2028",
        "\ud800",
        "1e",
    ),
    *("yes", "0b2", "1:30", "2024-01-01", "=", "~", "\x00", "\ufeff", "\U0001f600"),
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join), st.text(max_size=12))
def test_whatever_is_typed_gives_a_recipe_or_a_recipe_error(text: str, override: str) -> None:
    for overrides in ([], [override], [f"data.train={override}"]):
        try:
            parse(text, *overrides)
        except RecipeError as error:
            assert error.problems


def test_a_file_is_read_with_its_folder_and_its_text(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_bytes("\ufeffdomain: financial\r\nlora:\r\n  r: 8\r\n".encode())
    asked = load_recipe(file, ["training.seed=1"])
    assert asked.source == str(file)
    assert asked.folder == tmp_path
    assert asked.text == "domain: financial\r\nlora:\r\n  r: 8\r\n"
    assert asked.where("lora.r") == f"{file}:3"
    assert asked.recipe.training.seed == 1


def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("domain: financial\n")
    (tmp_path / "latin.yaml").write_bytes(b"domain: x\nmodel: caf\xe9\n")
    (tmp_path / "utf16.yaml").write_bytes("domain: x\n".encode("utf-16"))

    def message(path: Path) -> str:
        with pytest.raises(RecipeError) as caught:
            load_recipe(path)
        return str(caught.value).replace(str(tmp_path), "D")

    assert message(tmp_path / "recpie.yaml") == (
        "D/recpie.yaml: error: no such file; did you mean recipe.yaml? [recipe-missing]"
    )
    assert message(tmp_path / "none" / "a.yaml") == (
        "D/none/a.yaml: error: no such file; `rankwise init` writes a recipe [recipe-missing]"
    )
    assert message(tmp_path) == "D: error: is a folder; expected a recipe file (.yaml) [recipe-missing]"
    assert message(tmp_path / "latin.yaml") == (
        "D/latin.yaml:2: error: is not UTF-8 text (byte 0xE9); save it as UTF-8 [not-utf-8]"
    )
    assert message(tmp_path / "utf16.yaml") == "D/utf16.yaml:1: error: is UTF-16 text; save it as UTF-8 [not-utf-8]"
    assert message(Path("a\0b")).endswith("[recipe-unreadable]")


def test_a_mapping_is_a_value_that_knows_where_each_entry_stands() -> None:
    asked = parse("domain: legal\nlora:\n  rank_pattern:\n    down_proj: 8\n    'layers\\.0\\.mlp\\.up_proj': 64\n")
    assert list((asked.recipe.lora.rank_pattern or {}).items()) == [("down_proj", 8), (r"layers\.0\.mlp\.up_proj", 64)]
    assert asked.where("lora.rank_pattern") == "recipe.yaml:3" and "lora.rank_pattern" in asked.given
    assert asked.where(r"lora.rank_pattern.layers\.0\.mlp\.up_proj") == "recipe.yaml:5"
    assert "lora.alpha_pattern" not in asked.given


def test_a_mapping_is_overridden_as_a_whole() -> None:
    text = "domain: legal\nlora: {rank_pattern: {q_proj: 8}, layers_to_transform: [3, 1]}\n"
    given = "lora.rank_pattern={k_proj: 4, v_proj: 2}"
    asked = parse(text, given)
    assert asked.recipe.lora.rank_pattern == {"k_proj": 4, "v_proj": 2}
    assert asked.recipe.lora.layers_to_transform == [3, 1]
    assert asked.where("lora.rank_pattern.k_proj") == f"--set {given}"
    more = with_overrides(asked, ["lora.alpha_pattern={k_proj: 8.5}"])
    assert more.recipe.lora.rank_pattern == {"k_proj": 4, "v_proj": 2}
    assert more.recipe.lora.alpha_pattern == {"k_proj": 8.5}
    assert with_overrides(more, ["lora.rank_pattern=null"]).recipe.lora.rank_pattern is None
