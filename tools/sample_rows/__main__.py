"""Rewrite the bundled sample rows: `python -m tools.sample_rows [FOLDER]`. The same bytes every time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

from rankwise.files import write_text
from rankwise.recipe.domains.profiles import ROWS
from tools.sample_rows import (
    customer_support,
    education,
    financial,
    healthcare,
    human_resources,
    insurance,
    legal,
    manufacturing,
    marketing,
    real_estate,
    retail,
    technology,
)
from tools.sample_rows.phrases import SPLITS, Row, Split, source

COUNTS: dict[Split, int] = {"train": 440, "held_out": 160}
GENERATORS: dict[str, Callable[[Split, int, Random], list[Row]]] = {
    "financial": financial.rows,
    "legal": legal.rows,
    "healthcare": healthcare.rows,
    "manufacturing": manufacturing.rows,
    "real_estate": real_estate.rows,
    "insurance": insurance.rows,
    "marketing": marketing.rows,
    "technology": technology.rows,
    "education": education.rows,
    "retail": retail.rows,
    "human_resources": human_resources.rows,
    "customer_support": customer_support.rows,
}


def write_all(folder: Path) -> None:
    for domain, rows in GENERATORS.items():
        for split in SPLITS:
            made = rows(split, COUNTS[split], source(domain, split))
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in made]
            write_text(folder / f"{domain}.{split}.jsonl", "".join(lines))


if __name__ == "__main__":
    write_all(Path(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
