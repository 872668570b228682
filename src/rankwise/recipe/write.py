"""A commented recipe to start from, written from the schema's own declarations."""

from __future__ import annotations

from rankwise.recipe.keys import SECTIONS, accepts, dotted, only_one_value
from rankwise.recipe.tree import reads_as_itself

_OPENING = """\
# A recipe for rankwise. `auto`, or a key left out, means: the plan decides and says why.
# `rankwise plan` shows every decision with its reason.
"""
_PLACEHOLDER = "rows.jsonl"


def commented_recipe(domain: str | None, train: str | None, model: str) -> str:
    """A valid recipe that shows every key the user has a choice about, each with a one-line comment.

    With neither `domain` nor `train`, `data.train` names a placeholder file for the user to replace.
    """
    if domain is None and train is None:
        train = _PLACEHOLDER
    asked = {"model": model, "domain": domain, "data.train": train}
    return _OPENING + "\n".join(_lines("", asked)) + "\n"


def _lines(section: str, asked: dict[str, str | None]) -> list[str]:
    lines: list[str] = []
    indent = "  " * (section.count(".") + 1 if section else 0)
    for name, info in SECTIONS[section].model_fields.items():
        key = dotted(section, name)
        if key in SECTIONS:
            inside = _lines(key, asked)
            if inside:
                lines += ["", f"{indent}{name}:  # {info.description}", *inside, ""]
        elif not only_one_value(key):
            value = yaml_scalar(asked.get(key, info.default))
            choice = "" if accepts(key) in ("text", "text, or null") else f" ({accepts(key)})"
            lines.append(f"{indent}{name}: {value}  # {info.description}{choice}")
    return [line for line, above in zip(lines, ["", *lines], strict=False) if line or above]


def yaml_scalar(value: object) -> str:
    """`value` as YAML reads it back on one line: bare where that is safe, else in double quotes."""
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    text = str(value)
    if text.isprintable() and reads_as_itself(text):
        return text
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"
