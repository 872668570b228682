"""`rankwise init`: a commented recipe to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rankwise.cli.options import AsJson
from rankwise.cli.screen import answering, refuse, table


def init(
    domain: Annotated[str | None, typer.Option(metavar="DOMAIN", help="Start from a domain.")] = None,
    list_domains: Annotated[bool, typer.Option("--list", help="List the domains and stop.")] = False,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write to a new file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a commented recipe to start from."""
    with answering(as_json) as screen:
        from rankwise.errors import RecipeError
        from rankwise.files import write_text
        from rankwise.recipe import Recipe, commented_recipe
        from rankwise.recipe.domains import DOMAINS, find_domain

        if list_domains:
            listed = table("domain", "answer", "sample rows", "task")
            for found in DOMAINS.values():
                listed.add_row(found.name, found.kind, "yes" if found.train else "", found.task)
            screen.tables.print(listed)
            rows = [
                {"name": d.name, "title": d.title, "kind": d.kind, "task": d.task, "sample_rows": d.train is not None}
                for d in DOMAINS.values()
            ]
            screen.answer({"domains": rows})
            return

        train = None
        if domain is not None and find_domain(domain).train is None:
            train = "rows.jsonl"  # to be replaced: this domain has no sample rows to fall back on
        text = commented_recipe(domain, train, Recipe.model_fields["model"].default)
        if output is None:
            screen.write(text)
        else:
            if output.exists():
                raise refuse(RecipeError, "file-exists", str(output), "is there already; give a new file name")
            write_text(output, text)
            screen.note(f"wrote {output}; next: rankwise check {output}")
        screen.answer({"recipe": text, "output": str(output) if output else None})
