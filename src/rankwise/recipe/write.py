"""A commented recipe to start from, written from the schema's own declarations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rankwise.recipe.keys import LEAVES, SECTIONS, accepts, dotted, only_one_value
from rankwise.recipe.tree import reads_as_itself

_OPENING = """\
# A recipe for rankwise. `auto`, or a key left out, means: the plan decides and says why.
# `rankwise plan` shows every decision with its reason.
"""
_AUTO: Mapping[str, str] = {
    "task": "from the base and the shape of the rows",
    "problem_type": "by whether a row's label is one or a list",
    "data.max_length": "the longest row, within what the base takes",
    "method": "the plan chooses, and says why",
    "lora.target_modules": "the doctrine decides, by this base's own names",
    "lora.target_parameters": "the experts, where the names above speak of them",
    "prefix.num_virtual_tokens": "20, as in PEFT's example",
    "prefix.prefix_projection": "false, PEFT's default",
    "prefix.encoder_hidden_size": "as wide as a layer's keys",
    "training.bf16": "what is faster on this machine, measured",
    "dpo.beta": "TRL's own default",
    "grpo.num_generations": "TRL's own default, as far as the batch takes it",
    "grpo.max_completion_length": "twice the longest answer of the rows",
    "grpo.beta": "TRL's own default, 0",
    "grpo.reward": "from the shape of the rows",
    "prompt.num_examples": "8, or one of each label, as far as they fit",
    "quantization": "the plan chooses, and says why",
    "shared_prefix": "true, for it is exact",
}
_BY_DOCTRINE = "the doctrine decides"
_DEFAULTS: Mapping[str, str] = {
    "objective": "rows with answers to learn from",
    "dpo.loss_type": "DPO's own loss",
    "data.too_long": "no row is cut or dropped unless you say so",
    "data.assistant_turns": "every answer teaches",
    "doctrine": "ours; `rankwise plan` also tells what the others would give",
    "training.seed": "any number does; one seed gives one adapter",
}
"""Why a key that is not `auto` has the default it has; the meaning of null stands in its description."""
_NOT_FINITE: Mapping[str, str] = {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}
_PLAIN_NAME = re.compile(r"[A-Za-z_][\w.-]*")


@dataclass(frozen=True)
class Chosen:
    """A value for a key of a recipe, and the reason for it."""

    value: object
    reason: str


def commented_recipe(chosen: Mapping[str, Chosen], remarks: Sequence[str] = ()) -> str:
    """A recipe that shows every key the user has a choice about, each with a comment: the reason if it is `chosen`,
    else what the key is, what it takes and what its default stands for.

    Keys are dotted; `remarks` are comments at the head, a line each.
    """
    head = "".join(f"# {_one_line(remark)}\n" for remark in remarks)
    return _OPENING + head + "\n".join(_lines("", chosen)) + "\n"


def _lines(section: str, chosen: Mapping[str, Chosen]) -> list[str]:
    lines: list[str] = []
    indent = "  " * (section.count(".") + 1 if section else 0)
    for name, info in SECTIONS[section].model_fields.items():
        key = dotted(section, name)
        if key in SECTIONS:
            inside = _lines(key, chosen)
            if inside:
                lines += ["", f"{indent}{name}:  # {info.description}", *inside, ""]
        elif key in chosen:
            lines.append(f"{indent}{name}: {yaml_value(chosen[key].value)}  # {_one_line(chosen[key].reason)}")
        elif not only_one_value(key):
            choice = "" if accepts(key) in ("text", "text, or null") else f" ({accepts(key)})"
            lines.append(f"{indent}{name}: {yaml_value(info.default)}  # {info.description}{choice}{_meaning(key)}")
    return [line for line, above in zip(lines, ["", *lines], strict=False) if line or above]


def _meaning(key: str) -> str:
    """What the default of `key` stands for, where its description does not say so already."""
    info = LEAVES[key]
    if key in _DEFAULTS:
        return f"; {info.default}: {_DEFAULTS[key]}"
    if info.default != "auto" or "auto" in str(info.description):
        return ""
    return f"; auto: {_AUTO.get(key, _BY_DOCTRINE)}"


def _one_line(text: str) -> str:
    """`text` as a comment can hold it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def yaml_value(value: object) -> str:
    """A scalar, or a list or mapping of scalars in brackets, as YAML reads it back on one line."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_item, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_item(str(name))}: {_item(item)}' for name, item in value.items())}}}"
    return yaml_scalar(value)


def _item(value: object) -> str:
    """As `yaml_scalar`, but no text is bare that a comma or bracket could split."""
    written = yaml_scalar(value)
    if isinstance(value, str) and written == value and not _PLAIN_NAME.fullmatch(value):
        return _quoted(value)
    return written


def yaml_scalar(value: object) -> str:
    """`value` as YAML reads it back on one line: bare where that is safe, else in double quotes."""
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return _NOT_FINITE.get(str(value), str(value).lower())
    text = str(value)
    if text.isprintable() and reads_as_itself(text):
        return text
    return _quoted(text)


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"
