"""`rankwise models`: the bases at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rankwise.cli.options import AsJson
from rankwise.cli.screen import answering, table
from rankwise.cli.text import size_text

if TYPE_CHECKING:
    from rich.console import Console

    from rankwise.facts import Anatomy

Base = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Embedded name, folder of a transformers model, .gguf file, or hub id.",
        show_default=False,
    ),
]

models = typer.Typer(help="The base models at hand: list, fetch, show.", no_args_is_help=True)


@models.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the embedded bases and those fetched before."""
    with answering(as_json) as screen:
        found = _known()
        shown = table("base", "here", "what it is")
        for base in found:
            shown.add_row(base["name"], "yes" if base["ready"] else f"no ({base['fetch']})", base["title"])
        screen.tables.print(shown)
        screen.answer({"models": found})


@models.command()
def fetch(model: Base, as_json: AsJson = False) -> None:
    """Bring a base into the cache, so that later work needs no network."""
    with answering(as_json) as screen:
        from rankwise.facts import fetch_base, locate_base

        located = locate_base(model, Path.cwd())
        with screen.watching() as observer:
            path = fetch_base(located, observer)
        screen.tables.print(str(path), soft_wrap=True)
        screen.answer({"name": located.name, "path": str(path)})


@models.command()
def show(model: Base, as_json: AsJson = False) -> None:
    """Show what a base is made of, and its digests if it has weights."""
    with answering(as_json) as screen:
        from dataclasses import asdict

        from rankwise.facts import NO_LIMIT, fetch_facts, identify_base, locate_base, read_anatomy

        located = locate_base(model, Path.cwd())
        with screen.watching() as observer:
            path = fetch_facts(located, observer)
        anatomy = read_anatomy(path, located.name)
        identity = asdict(identify_base(path)) if anatomy.source == "headers" else None
        _show_anatomy(screen.tables, anatomy, identity)
        screen.answer(
            {
                "name": anatomy.name,
                "path": str(path),
                "architecture": anatomy.architecture,
                "kind": anatomy.kind,
                "total_parameters": anatomy.total_parameters,
                "num_layers": anatomy.num_layers,
                "hidden_size": anatomy.hidden_size,
                "vocab_size": anatomy.vocab_size,
                "max_length": None if anatomy.max_length == NO_LIMIT else anatomy.max_length,
                "tied_head": anatomy.tied_head,
                "dtype": anatomy.dtype,
                "source": anatomy.source,
                "projections": [asdict(projection) for projection in anatomy.projections],
                "identity": identity,
            }
        )


def _known() -> list[dict[str, Any]]:
    from rankwise.facts import EMBEDDED
    from rankwise.files import home

    cache = home() / "models"
    found: list[dict[str, Any]] = [
        {
            "name": base.name,
            "title": base.title,
            "ready": (cache / base.name / "config.json").is_file(),
            "fetch": size_text(base.wheel_bytes),
            "path": str(cache / base.name),
        }
        for base in EMBEDDED.values()
    ]
    others = sorted(path.parent for path in cache.glob("[!.]*/config.json") if path.parent.name not in EMBEDDED)
    return found + [
        {"name": path.name, "title": "fetched or converted before", "ready": True, "fetch": None, "path": str(path)}
        for path in others
    ]


def _show_anatomy(console: Console, anatomy: Anatomy, identity: dict[str, Any] | None) -> None:
    console.print(
        f"{anatomy.name}: {anatomy.architecture}, {anatomy.total_parameters:,} parameters in {anatomy.dtype}, "
        f"{anatomy.num_layers} layers, {anatomy.hidden_size} wide, {anatomy.vocab_size:,} tokens known"
    )
    shown = table("projection", "role", "in", "out", "count", "bias", numbers=("in", "out", "count"))
    for p in anatomy.projections:
        shown.add_row(
            p.name, p.role, str(p.in_features), str(p.out_features), str(p.count), "yes" if p.has_bias else "no"
        )
    console.print(shown)
    if identity is None:
        origin = {"config": "config.json alone", "meta": "transformers' own model of config.json"}[anatomy.source]
        console.print(f"Shapes are from {origin}; there are no weights here, so there is nothing to identify it by.")
    for part, digest in (identity or {}).items():
        console.print(f"{part.replace('_', ' ')}: {digest}", soft_wrap=True)
