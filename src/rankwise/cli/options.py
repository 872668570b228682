"""Arguments that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RecipeFile = Annotated[
    Path,
    typer.Argument(
        metavar="RECIPE", help="Recipe file (YAML); paths in it are relative to its own folder.", show_default=False
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the recipe; repeatable. Paths in it are relative to the working folder.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Adapter = Annotated[
    str,
    typer.Argument(metavar="ADAPTER", help="Adapter folder, or its name in the catalogue.", show_default=False),
]
