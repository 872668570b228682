"""What the speed benchmark trains on: each case's rows, as messages that both sides render."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rankwise.recipe.domains import DOMAINS

BANKING = "Which intent does the customer have? Answer with one of: {labels}."
CLAUSES = "Which kind of contract clause is this? Answer with one of: {labels}."


@dataclass(frozen=True)
class Case:
    """`rounds` and `steps` are what the time of the slower side allows."""

    title: str
    folder: str | None
    """Under the data folder; None: the bundled rows."""
    instruction: str | None
    """Before the text of text/label rows; `{labels}` becomes all of the set's labels."""
    rounds: int
    steps: int
    quantization: str = "none"
    """Of both sides' base."""


CASES = {
    "a": Case("bundled financial extraction", None, None, rounds=2, steps=3),
    "b": Case("maintenance_extract", "maintenance_extract", None, rounds=2, steps=3),
    "c": Case("banking77, its 77 labels in the prompt", "banking77", BANKING, rounds=1, steps=3),
    "d-pubmedqa": Case("pubmedqa, long questions", "pubmedqa", None, rounds=1, steps=2),
    "d-cuad": Case("legal_cuad_clauses, rows of very different length", "legal_cuad_clauses", CLAUSES, 1, 3),
    "e-qlora": Case("bundled financial extraction, base in NF4", None, None, 1, 2, quantization="nf4"),
}


def missing(case: Case, data: Path) -> str | None:
    """Why the case cannot be run, or None."""
    if case.folder is None or (data / case.folder / "train.jsonl").is_file():
        return None
    return f"{data / case.folder / 'train.jsonl'} is not there; --data names the folder of the public sets"


def conversations(case: Case, data: Path, count: int) -> list[dict[str, list[dict[str, str]]]]:
    """The first rows of the case's training file, in its order."""
    file = DOMAINS["financial"].train if case.folder is None else data / case.folder / "train.jsonl"
    assert file is not None
    instruction = case.instruction
    if instruction is not None:
        with file.open(encoding="utf-8") as lines:
            labels = sorted({json.loads(line)["label"] for line in lines})
        instruction = instruction.format(labels=", ".join(labels))
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, count)]
    if len(rows) < count:
        raise SystemExit(f"{file}: {len(rows)} rows, {count} are needed; ask for fewer --steps")
    return [_conversation(row, instruction) for row in rows]


def _conversation(row: dict[str, str], instruction: str | None) -> dict[str, list[dict[str, str]]]:
    if "label" in row:
        question, answer = f"{instruction}\n{row['text']}", row["label"]
    else:
        question = "\n".join(part for part in (row["instruction"], row.get("input", "")) if part.strip())
        answer = row["output"]
    return {
        "prompt": [{"role": "user", "content": question}],
        "completion": [{"role": "assistant", "content": answer}],
    }
