"""docs/doctrines.md, made from the doctrines themselves.

python -m rankwise.doctrine.page > docs/doctrines.md
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from rankwise.doctrine import DEFAULTS, DOCTRINES, Doctrine, Situation, Value
from rankwise.doctrine.errata import ERRATA
from rankwise.doctrine.examples import ELSEWHERE, FEW, MANY, PROBES, REFERENCE, with_rows
from rankwise.doctrine.rule import Objection, Rule
from rankwise.recipe.keys import LEAVES

COMMAND = "python -m rankwise.doctrine.page > docs/doctrines.md"
SILENT = "-"
_NO_KEY = "No key of the recipe: this build cannot apply it, and a plan by the doctrine says so.\n"

_SETTLED_FIRST = (
    "method",
    "quantization",
    "lora.target_modules",
    "lora.r",
    "training.per_device_train_batch_size",
    "training.gradient_accumulation_steps",
    "training.num_train_epochs",
)
"""What other rules look at; the number of steps follows from the last three."""

_INTRODUCTION = f"""\
# Doctrines

A *doctrine* is what one source advises for fine-tuning: a guide, a library's defaults, or rankwise's own view, which is
the default. `rankwise plan` decides every value that a recipe leaves open by one doctrine, and tells what the others
would say. This page holds all of their rules, where they contradict each other, and where they are wrong in fact. It is
made from the rules themselves by `{COMMAND}`.

- To plan by another doctrine: `rankwise plan --doctrine NAME`. A key on which it has no word follows `peft-defaults`.
- To see all plans for your own base and rows: `rankwise plan --compare`; the story of one value: `--explain KEY`.
- What a plan cites as the source of a value stands here under *source*. "Readings" are our own measurements; they are
  listed at the head of `src/rankwise/doctrine/rankwise.py` and in `docs/log.md`.
"""

_HOW_TO_READ = f"""\
## How to read the tables below

Every line is a rule. **When** says where it applies; of several rules of a doctrine for one key, the first that
applies counts, so *always* means "where none above did". **Kind** is on what the source rests it: *measured*, merely
*stated*, or *conventional*.

The columns of bases show the value for {FEW:,} supervised rows with open answers on a machine without a GPU, and after
a semicolon for {MANY:,} rows where that differs. Each follows from the doctrine's own earlier values (its alpha from
its rank). `{SILENT}` is where the rule does not apply; *elsewhere* then shows a situation in which it does. The
**reason** is the one given for the first value of the line, figures and all; on another base it has that base's.

"All 7 projections" are attention's q, k, v, o and the MLP's gate, up, down. Of a mixture of experts (Qwen3-30B-A3B) the
MLP's are inside fused experts, which a plan adapts as parameters, with a rank of their own: `lora.rank_per_expert`.

**Conflict** lines name the values on which the doctrines differ, with those that give them.
"""


def page() -> str:
    """The page, Markdown."""
    parts = [
        _INTRODUCTION,
        _legend(),
        _default_part(),
        _HOW_TO_READ,
        *_keys_part(),
        _objections_part(),
        *_lessons_part(),
        *_errata_part(),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def settled_by(doctrine: Doctrine, situation: Situation) -> Situation:
    """`situation` with every key settled as a plan under `doctrine` would, its own rules first, then the defaults'."""
    settled: dict[str, Value] = {}
    situation = replace(situation, settled=settled)

    def settle(keys: Iterable[str]) -> None:
        for key in keys:
            advice = doctrine.advise(key, situation) or DEFAULTS.advise(key, situation)
            if advice is not None:
                settled[key] = advice.value

    settle(_SETTLED_FIRST)
    settled["steps"] = situation.steps
    settle(key for key in dict.fromkeys([*DEFAULTS.decides, *doctrine.decides]) if key not in settled)
    return situation


def speaking_rule(doctrine: Doctrine, key: str, situation: Situation) -> Rule | None:
    """The rule whose word counts for `key` here."""
    return next((rule for rule in doctrine.rules if rule.sets == key and rule.advise(situation) is not None), None)


def example_of(objection: Objection) -> tuple[Situation, str] | None:
    """The first probe at which the objection speaks, with what it says."""
    for situation, values in PROBES:
        if objection.to in values:
            probed = replace(situation, settled=values)
            sentence = objection.object(probed)
            if sentence is not None:
                return probed, sentence
    return None


# -- rules


def _legend() -> str:
    rows = [
        [f"`{doctrine.name}`", doctrine.title, len(doctrine.rules), len(doctrine.objections), len(doctrine.lessons)]
        for doctrine in DOCTRINES.values()
    ]
    return _table(["doctrine", "source", "rules", "objections", "lessons"], rows)


def _default_part() -> str:
    """What the default doctrine comes to."""
    own = DOCTRINES["rankwise"]
    bases = {name: settled_by(own, with_rows(base, FEW)) for name, base in REFERENCE.items()}
    rows: list[list[object]] = []
    for key in sorted({*own.decides, *DEFAULTS.decides}, key=_place):
        said = {name: own.advise(key, base) or DEFAULTS.advise(key, base) for name, base in bases.items()}
        values = [SILENT if advice is None else _shown(advice.value, bases[name]) for name, advice in said.items()]
        first = next(advice for advice in said.values() if advice is not None)
        by = own.name if any(own.advise(key, base) is not None for base in bases.values()) else DEFAULTS.name
        rows.append([f"`{key}`", *values, first.reason, f"`{by}`"])
    head = (
        f"## What you get by default\n\nThe doctrine `rankwise`, for {FEW:,} rows; what it leaves open is PEFT's."
        " The method is weighed by `working-notes` and `honest-choice` where it is silent.\n\n"
    )
    return head + _table(["key", *REFERENCE, "reason", "by"], rows)


def _keys_part() -> Iterator[str]:
    keys = dict.fromkeys(key for doctrine in DOCTRINES.values() for key in doctrine.decides)
    yield "## Values\n"
    for key in sorted(keys, key=_place):
        description = LEAVES[key].description if key in LEAVES else None
        lines = [f"### `{key}`\n", f"{description}.\n" if description else _NO_KEY]
        yield "\n".join([*lines, *_conflicts(key), _rules_table(key)])


def _place(key: str) -> tuple[int, int]:
    """The recipe's order; a key that it has not comes after the last of its section."""
    keys = list(LEAVES)
    if key in keys:
        return keys.index(key), 0
    section = key.rpartition(".")[0]
    return max((n for n, other in enumerate(keys) if other.rpartition(".")[0] == section), default=0), 1


def _rules_table(key: str) -> str:
    rows = [_rule_row(doctrine, rule) for doctrine in DOCTRINES.values() for rule in doctrine.rules if rule.sets == key]
    return _table(["doctrine", "when", *REFERENCE, "elsewhere", "reason", "source", "kind"], rows)


def _rule_row(doctrine: Doctrine, rule: Rule) -> list[object]:
    reason = ""

    def value_in(situation: Situation) -> str | None:
        nonlocal reason
        situation = settled_by(doctrine, situation)
        if speaking_rule(doctrine, rule.sets, situation) is not rule:
            return None
        advice = rule.advise(situation)
        assert advice is not None
        reason = reason or advice.reason
        return _shown(advice.value, situation)

    cells = []
    for base in REFERENCE.values():
        few, many = (value_in(with_rows(base, rows)) for rows in (FEW, MANY))
        shown = few or SILENT
        cells.append(shown if many == few else f"{shown}; {MANY:,} rows: {many or SILENT}")
    elsewhere = ""
    if set(cells) == {SILENT}:
        spoken = ((name, value_in(situation)) for name, situation in ELSEWHERE.items())
        elsewhere = next((f"{name}: {value}" for name, value in spoken if value is not None), SILENT)
    return [f"`{doctrine.name}`", rule.when, *cells, elsewhere, reason, rule.source, rule.kind]


def _conflicts(key: str) -> list[str]:
    """One line for each way in which the doctrines divide, with the situations where they do."""
    where: dict[str, dict[str, list[int]]] = {}
    for name, base in REFERENCE.items():
        for rows in (FEW, MANY):
            division = _division(key, with_rows(base, rows))
            if len(division) > 1:
                said = "; ".join(f"{value} ({', '.join(names)})" for value, names in division.items())
                where.setdefault(said, {}).setdefault(name, []).append(rows)
    return [f"**Conflict** on {_places(places)}: {said}.\n" for said, places in where.items()]


def _places(places: Mapping[str, list[int]]) -> str:
    """Bases, with the number of rows where it matters."""
    if len(places) == len(REFERENCE) and len({tuple(rows) for rows in places.values()}) == 1:
        places = {"all of these bases": next(iter(places.values()))}
    return ", ".join(name if len(rows) == 2 else f"{name} with {rows[0]:,} rows" for name, rows in places.items())


def _division(key: str, situation: Situation) -> Mapping[str, list[str]]:
    """Value -> the doctrines that give it here."""
    said: dict[str, list[str]] = {}
    for doctrine in DOCTRINES.values():
        own = settled_by(doctrine, situation)
        advice = doctrine.advise(key, own)
        if advice is not None:
            said.setdefault(_shown(advice.value, own), []).append(doctrine.name)
    return said


# -- objections, lessons, errors


def _objections_part() -> str:
    rows: list[tuple[tuple[int, int], list[object]]] = []
    for doctrine in DOCTRINES.values():
        for objection in doctrine.objections:
            example = example_of(objection)
            value, says = (SILENT, SILENT) if example is None else (_probe_text(example[0]), example[1])
            row: list[object] = [
                f"`{objection.to}`",
                value,
                says,
                f"`{doctrine.name}`",
                objection.source,
                objection.kind,
            ]
            rows.append((_place(objection.to), row))
    rows.sort(key=lambda placed: placed[0])
    table = _table(["key", "your value", "objection", "doctrine", "source", "kind"], [row for _, row in rows])
    return (
        "## Objections\n\nA value of your own is kept, and warned about where a source speaks against it, whichever "
        f"doctrine you plan by. Each line shows one value against which the objection speaks.\n\n{table}"
    )


def _probe_text(situation: Situation) -> str:
    return ", ".join(f"{key.rpartition('.')[2]} {_shown(value, situation)}" for key, value in situation.settled.items())


def _lessons_part() -> Iterator[str]:
    yield "## Lessons\n\nWhat the sources teach without setting a value.\n"
    lessons = [(doctrine.name, lesson) for doctrine in DOCTRINES.values() for lesson in doctrine.lessons]
    topics = dict.fromkeys(lesson.topic for _, lesson in lessons)
    for topic in sorted(topics, key=lambda topic: (topic not in LEAVES, _place(topic) if topic in LEAVES else topic)):
        told = [f"- {lesson.text} ({lesson.source}; {lesson.kind})" for _, lesson in lessons if lesson.topic == topic]
        yield "\n".join([f"### {f'`{topic}`' if topic in LEAVES else topic.capitalize()}\n", *told])


def _errata_part() -> Iterator[str]:
    yield "## Errors of the sources\n\nWhere a source is wrong in fact or contradicts itself, and what the plan does.\n"
    for document in dict.fromkeys(erratum.document for erratum in ERRATA):
        rows = [
            [erratum.section, erratum.says, erratum.fact, erratum.evidence, erratum.consequence]
            for erratum in ERRATA
            if erratum.document == document
        ]
        yield f"### {document}\n\n" + _table(["section", "it says", "in fact", "shown by", "the plan"], rows)


# -- text


def _shown(value: Value, situation: Situation) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if not isinstance(value, list):
        return str(value)
    every, names = situation.projections, [str(name) for name in value]
    if not set(every) <= set(names):
        return " ".join(names)
    return " ".join([f"all {len(every)} projections", *(f"+ {name}" for name in names if name not in every)])


def _table(header: list[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
