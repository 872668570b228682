"""Plans and checks by request: recipes made of what a request says, never of files it names."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import Field, JsonValue

from rankwise.recipe import Asked, parse_recipe
from rankwise.serve.protocol import MAX_NAME, Body

MAX_ROWS = 1000
"""Of an uploaded sample."""
SOURCE = "<request>"

Answered = Callable[[Asked], dict[str, Any]]
"""A recipe -> what `rankwise VERB --json` says of it."""


class PlanRequest(Body):
    domain: str = Field(max_length=MAX_NAME)
    doctrine: str | None = Field(None, max_length=MAX_NAME)
    lora: dict[str, JsonValue] = Field(default_factory=dict)
    training: dict[str, JsonValue] = Field(default_factory=dict)


class CheckRequest(Body):
    rows: list[dict[str, JsonValue]] = Field(min_length=1, max_length=MAX_ROWS)
    domain: str | None = Field(None, max_length=MAX_NAME)


@dataclass(frozen=True)
class Plans:
    """`base`: what the server serves, as a recipe's `model` names it."""

    base: str
    plan: Answered
    check: Answered

    def of_request(self, asked: PlanRequest) -> dict[str, Any]:
        """The plan for the bundled rows of a domain. Raises RankwiseError."""
        recipe: dict[str, Any] = {"model": self.base, "domain": asked.domain}
        if asked.doctrine is not None:
            recipe["doctrine"] = asked.doctrine
        for section in ("lora", "training"):
            if given := getattr(asked, section):
                recipe[section] = given
        return self.plan(parse_recipe(_text(recipe), SOURCE, Path.cwd()))

    def of_domain(self, domain: str) -> dict[str, Any]:
        return self.of_request(PlanRequest(domain=domain))

    def of_rows(self, asked: CheckRequest) -> dict[str, Any]:
        """What `rankwise check` says of uploaded rows. Raises RankwiseError."""
        with TemporaryDirectory(prefix="rankwise-check-") as folder:
            rows = Path(folder) / "rows.jsonl"
            rows.write_text("".join(json.dumps(row) + "\n" for row in asked.rows), encoding="utf-8")
            recipe: dict[str, Any] = {"model": self.base, "data": {"train": rows.name}}
            if asked.domain is not None:
                recipe["domain"] = asked.domain
            return self.check(parse_recipe(_text(recipe), SOURCE, Path(folder)))


def _text(recipe: dict[str, Any]) -> str:
    """As YAML reads it, to which an escaped surrogate pair of JSON is two characters that are none."""
    return json.dumps(recipe, ensure_ascii=False)
