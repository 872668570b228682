"""What becomes of each key of another tool's configuration that means something else than a recipe's key does.

Keys that mean the same are listed in `recipe/dialects`, and so is why the others have no place in a recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rankwise.recipe.dialects import AXOLOTL, GUIDE, LLAMA_FACTORY, PEFT, SECTIONED, why_not
from rankwise.recipe.foreign import Translation, says_nothing
from rankwise.recipe.tree import Node

FULL_RATE = 1e-4
FULL_RATE_HIDDEN = 2000
""" "LoRA/QLoRA Doctrine", Learning Rate: full fine-tuning's rate is about (2000 / hidden size) x 1e-4."""
_FILES = (".jsonl", ".json", ".csv", ".parquet")
_FLAGS = {
    "use_dora": "dora",
    "peft_use_dora": "dora",
    "load_in_4bit": "quantised",
    "load_in_8bit": "quantised",
}
"""Flags that decide the method beside a word that says lora."""

Rule = Callable[[Translation, str, Node], None]


# -- layers


def _all_or_names(everything: str) -> Rule:
    """A list of names, names between commas, or the word for every linear layer."""

    def rule(work: Translation, key: str, node: Node) -> None:
        if node.value in (everything, "all-linear"):
            work.offer("lora.target_modules", "all-linear", key, node)
        elif isinstance(node.value, list):
            work.targets(key, node)
        elif isinstance(node.value, str) and not set(node.value) & set("()[]*^$|\\?+"):
            work.targets(key, node, [name.strip() for name in node.value.split(",") if name.strip()])
        else:
            work.leave(key, node, "a pattern over layer names; list the names themselves")

    return rule


def _axolotl_targets(work: Translation, key: str, node: Node) -> None:
    if work.is_on("lora_target_linear"):
        work.leave(key, node, "lora_target_linear stands for every linear layer already")
    else:
        _all_or_names("all-linear")(work, key, node)


def _layers(work: Translation, key: str, node: Node) -> None:
    """PEFT takes one number as well as a list of them."""
    value = [node.value] if isinstance(node.value, int) else node.plain()
    work.offer("lora.layers_to_transform", value, key, node)


def _patterns(meant: str) -> Rule:
    def rule(work: Translation, key: str, node: Node) -> None:
        work.patterns(meant, key, node)

    return rule


# -- method


def _method(words: Mapping[str, str]) -> Rule:
    """A method by the file's word for it."""

    def rule(work: Translation, key: str, node: Node) -> None:
        word = str(node.value).lower()
        on = {meant for flag, meant in _FLAGS.items() if work.is_on(flag)}
        on |= {"quantised"} if work.names("quantization_bit") else set()
        if (word == "lora" and on) or (word == "qlora" and "dora" in on):
            return  # the flag decides
        method = words.get(word, word)
        work.offer("method", method, key, node, otherwise=f"this build cannot run {method}")

    return rule


def _if_true(meant: str, value: object, otherwise: str = "") -> Rule:
    """A flag that, when set, is `meant: value`."""

    def rule(work: Translation, key: str, node: Node) -> None:
        if node.value is True:
            work.offer(meant, value, key, node, otherwise=otherwise)
        elif node.value is not False:
            work.leave(key, node, "expected true or false")

    return rule


def _projection_width(work: Translation, key: str, node: Node) -> None:
    """PEFT writes it down without a projection too, where it means nothing."""
    if work.is_on("prefix_projection"):
        work.offer("prefix.encoder_hidden_size", node.plain(), key, node)
    else:
        work.leave(key, node, "the width of a projection, and prefix_projection is not set")


def _quantization_bit(work: Translation, key: str, node: Node) -> None:
    word = {4: "nf4", 8: "int8"}.get(node.value) if isinstance(node.value, int) else None
    work.offer("quantization", word or node.plain(), key, node, otherwise="a base is kept in 4 or 8 bits here")


def _task(work: Translation, key: str, node: Node) -> None:
    task = str(node.value).lower()
    work.draft.offer_task(task, f"{key} ({node.place.text})", work.listed(key, node), work.base)


def _stage(work: Translation, key: str, node: Node) -> None:
    work.offer("objective", node.plain(), key, node, otherwise="objectives here are sft, dpo and grpo")


# -- rows


def _longest(otherwise: str, reason: str) -> Rule:
    """The longest row; what the file's tool does with longer ones comes along."""

    def rule(work: Translation, key: str, node: Node) -> None:
        if not work.offer("data.max_length", node.plain(), key, node):
            return
        if not work.names("excess_length_strategy"):
            work.offer("data.too_long", otherwise, key, node, reason)

    return rule


def _too_long(work: Translation, key: str, node: Node) -> None:
    word = "error" if node.value == "raise" else node.plain()
    work.offer("data.too_long", word, key, node)


def _held_out_share(work: Translation, key: str, node: Node) -> None:
    if isinstance(node.value, int | float) and node.value == 0:
        work.leave(key, node, "some rows are always held out, to keep the best weights and to compare; 0.1 if left out")
    elif isinstance(node.value, int | float) and node.value >= 1:
        work.leave(key, node, "a count of rows; give a share between 0 and 1, or a file, in data.held_out")
    else:
        work.offer("data.held_out", node.plain(), key, node)


def _axolotl_rows(meant: str) -> Rule:
    """A list of data sets, of which a recipe takes one."""

    def rule(work: Translation, key: str, node: Node) -> None:
        sets = node.value if isinstance(node.value, list) else [node]
        for number, item in enumerate(sets):
            if number:
                work.leave(key, item, f"{meant} names one file; join them into one")
            elif isinstance(item.value, dict):
                _axolotl_set(work, meant, key, item)
            else:
                work.leave(key, item, "expected path: below it")

    return rule


def _axolotl_set(work: Translation, meant: str, key: str, item: Node) -> None:
    assert isinstance(item.value, dict)
    inner, known = item.value, {"path", "data_files", "split", "ds_type"}
    files = inner["data_files"].plain() if "data_files" in inner else None
    path = files[0] if isinstance(files, list) and len(files) == 1 else files or inner.get("path", item).plain()
    split = inner["split"].plain() if "split" in inner else "train"
    if not isinstance(path, str):
        return work.leave(key, item, f"{meant} names one file or hub id")
    on_the_hub = files is None and path.count("/") == 1 and path[0] not in "./~" and not path.endswith(_FILES)
    whole = f"{path}:{split}" if on_the_hub and split != "train" else path
    work.offer(
        meant, whole, f"{key}.path", inner.get("data_files", inner.get("path", item)), f"{key}, as written there"
    )
    for name, node in inner.items():
        if name == "type" and node.value == "completion":
            work.leave(f"{key}.{name}", node, "raw text without questions and answers cannot be trained on")
        elif name == "type" and node.value not in ("alpaca", "chat_template", "sharegpt"):
            work.leave(f"{key}.{name}", node, why_not("field_"))
        elif name == "split" and not on_the_hub and split != "train":
            work.leave(f"{key}.{name}", node, "a file has no splits; name the file that holds these rows")
        elif name not in known | {"type"} and not says_nothing(node.plain()):
            work.leave(f"{key}.{name}", node, why_not(name, why_not("field_")))


# -- training


def _bf16(work: Translation, key: str, node: Node) -> None:
    if node.value != "auto":
        work.offer("training.bf16", True if node.value == "full" else node.plain(), key, node)


def _warmup_steps(work: Translation, key: str, node: Node) -> None:
    total = work.foreign.entries.get("max_steps")
    steps, of = node.value, total.value if total is not None else None
    if steps == 0:
        work.offer("training.warmup_ratio", 0.0, key, node)
    elif isinstance(steps, int) and isinstance(of, int) and 0 < steps <= of:
        share = float(f"{steps / of:.4g}")
        work.offer("training.warmup_ratio", share, key, node, f"{key} {steps} of max_steps {of}")
    else:
        work.leave(key, node, why_not(key))


# -- "LoRA/QLoRA Doctrine"


def _lr_multiplier(work: Translation, key: str, node: Node) -> None:
    """LoRA's rate is `lr_multiplier` times full fine-tuning's, which the document takes from the hidden size."""
    if work.base is None:
        return work.leave(key, node, "it needs the base's hidden size, and the base cannot be looked at here")
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        return work.leave(key, node, "expected a number")
    hidden = work.base.hidden_size
    rate = float(f"{node.value * FULL_RATE_HIDDEN / hidden * FULL_RATE:.3g}")
    formula = (
        f"{key} {node.value:g} x ({FULL_RATE_HIDDEN} / {hidden}) x {FULL_RATE:g}, {hidden} being this base's width"
    )
    work.offer("training.learning_rate", rate, key, node, formula)


def _rank_per_expert(work: Translation, key: str, node: Node) -> None:
    if work.base is None:
        work.leave(key, node, "whether the base has experts cannot be looked at here")
    elif not work.base.experts:
        work.leave(key, node, "this base has no experts; lora.r is the rank of its layers")
    else:
        work.offer("lora.rank_per_expert", node.plain(), key, node)


def _init_a(work: Translation, key: str, node: Node) -> None:
    begin = work.foreign.entries.get("init_B")
    if begin is not None and begin.value not in (None, "zero", "zeros"):
        work.leave(key, node, "with B other than zero the adapter would not start as the base")
    elif node.value in ("normal", "gaussian"):
        work.offer("lora.init_lora_weights", "gaussian", key, node)
    elif node.value in ("uniform", "kaiming_uniform"):
        work.offer(
            "lora.init_lora_weights", True, key, node, f"{key} uniform with scale 1/sqrt(in), B zero: PEFT's way"
        )
    else:
        work.leave(key, node, "A starts uniform or gaussian (lora.init_lora_weights)")


def _init_b(work: Translation, key: str, node: Node) -> None:
    if node.value not in ("zero", "zeros"):
        work.leave(key, node, "B starts at zero, so that the adapter starts as the base")
    elif not work.names("init_A"):
        work.offer("lora.init_lora_weights", True, key, node, f"{key} zero: PEFT's way")


_COMMON: Mapping[str, Rule] = {"bf16": _bf16, "warmup_steps": _warmup_steps}
RULES: Mapping[str, Mapping[str, Rule]] = {
    AXOLOTL.name: {
        **_COMMON,
        "adapter": _method({}),
        "load_in_4bit": _if_true("quantization", "nf4"),
        "load_in_8bit": _if_true("quantization", "int8"),
        "peft_use_dora": _if_true("method", "dora"),
        "lora_target_linear": _if_true("lora.target_modules", "all-linear"),
        "lora_target_modules": _axolotl_targets,
        "peft_layers_to_transform": _layers,
        "datasets": _axolotl_rows("data.train"),
        "test_datasets": _axolotl_rows("data.held_out"),
        "val_set_size": _held_out_share,
        "sequence_len": _longest("drop", "Axolotl drops longer rows"),
        "excess_length_strategy": _too_long,
    },
    LLAMA_FACTORY.name: {
        **_COMMON,
        "finetuning_type": _method({}),
        "stage": _stage,
        "use_dora": _if_true("method", "dora"),
        "pissa_init": _if_true("lora.init_lora_weights", "pissa"),
        "quantization_bit": _quantization_bit,
        "lora_target": _all_or_names("all"),
        "val_size": _held_out_share,
        "cutoff_len": _longest("truncate", "LLaMA-Factory cuts longer rows"),
        "mask_history": _if_true("data.assistant_turns", "last"),
    },
    PEFT.name: {
        "peft_type": _method({"prefix_tuning": "prefix"}),
        "encoder_hidden_size": _projection_width,
        "task_type": _task,
        "use_dora": _if_true("method", "dora"),
        "target_modules": _all_or_names("all-linear"),
        "layers_to_transform": _layers,
        "rank_pattern": _patterns("lora.rank_pattern"),
        "alpha_pattern": _patterns("lora.alpha_pattern"),
    },
    GUIDE.name: {
        **_COMMON,
        "apply_to": _all_or_names("all"),
        "init_A": _init_a,
        "init_B": _init_b,
        "lr_multiplier": _lr_multiplier,
        "lora_rank_per_expert": _rank_per_expert,
    },
    SECTIONED.name: {},
}
