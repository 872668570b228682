"""`rankwise init`: a commented recipe to start from, of one's own, of a preset, or of another tool's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rankwise.cli.options import AsJson
from rankwise.cli.screen import Screen, answering, refuse, table
from rankwise.errors import BaseError, Problem, RecipeError
from rankwise.files import user_path

if TYPE_CHECKING:
    from rankwise.facts import Anatomy, Located
    from rankwise.recipe.draft import Draft

PLACEHOLDER = "rows.jsonl"


def init(
    domain: Annotated[str | None, typer.Option(metavar="DOMAIN", help="Start from a domain.")] = None,
    preset: Annotated[str | None, typer.Option(metavar="PRESET", help="Start from a preset.")] = None,
    guide: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Translate an Axolotl, LLaMA-Factory or PEFT config, or a guide."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="The base the recipe is for; a path is relative to the working folder."),
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List domains and presets, and stop.")] = False,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write to a new file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a commented recipe to start from."""
    with answering(as_json) as screen:
        if list_all:
            _list(screen)
            return
        if preset is not None and guide is not None:
            message = "either --preset or --from; the file brings its own values"
            raise refuse(RecipeError, "preset-and-from", str(guide), message)
        if output is not None and output.exists():
            raise refuse(RecipeError, "file-exists", str(output), "is there already; give a new file name")

        from rankwise.files import write_text
        from rankwise.recipe import commented_recipe
        from rankwise.recipe.domains import find_domain
        from rankwise.recipe.draft import Draft

        if domain is not None:
            find_domain(domain)
        folder = Path.cwd() if output is None else output.absolute().parent
        model = None if model is None else _seen_from(folder, model)
        remarks: list[str] = []
        problems: list[Problem] = []
        if preset is not None:
            draft = _of_preset(screen, preset, model, folder, remarks)
        elif guide is not None:
            draft = _of_guide(screen, guide, model, folder, remarks, problems)
        else:
            draft = Draft()
        _complete(draft, model, domain)
        remarks += [f"Not carried over, {left.where}: {left.asked}: {left.why}" for left in draft.left_out]
        text = commented_recipe(draft.chosen, remarks)
        if output is None:
            screen.write(text)
        else:
            write_text(output, text)
        problems += [left.problem() for left in draft.left_out]
        screen.problems(problems)
        if output is not None:
            screen.note(f"wrote {output}; next: rankwise check {output}")
        screen.answer(
            {
                "recipe": text,
                "output": str(output) if output else None,
                "not_carried": [left.as_json() for left in draft.left_out],
                "problems": [problem.as_json() for problem in problems],
            }
        )


def _seen_from(folder: Path, model: str) -> str:
    """A base named on the command line, in the words of a recipe in `folder`: a path relative to that folder."""
    import os.path

    from rankwise.facts import EMBEDDED

    path = user_path(model)
    if model in EMBEDDED or path.is_absolute() or not path.exists() or folder == Path.cwd():
        return model
    seen = os.path.relpath(path.absolute(), folder)
    return seen if seen.startswith(".") else f"./{seen}"


def _list(screen: Screen) -> None:
    from rankwise.recipe.domains import DOMAINS
    from rankwise.recipe.presets import PRESETS

    domains = table("domain", "answer", "sample rows", "task")
    for domain in DOMAINS.values():
        domains.add_row(domain.name, domain.kind, "yes" if domain.train else "", domain.task)
    screen.tables.print(domains)
    presets = table("preset", "for", "source")
    for preset in PRESETS.values():
        presets.add_row(preset.name, preset.title, preset.source)
    screen.tables.print(presets)
    screen.answer(
        {
            "domains": [
                {"name": d.name, "title": d.title, "kind": d.kind, "task": d.task, "sample_rows": d.train is not None}
                for d in DOMAINS.values()
            ],
            "presets": [{"name": p.name, "title": p.title, "source": p.source} for p in PRESETS.values()],
        }
    )


def _of_preset(screen: Screen, name: str, model: str | None, folder: Path, remarks: list[str]) -> Draft:
    from rankwise.facts import locate_base
    from rankwise.facts.naming import known_base
    from rankwise.recipe.presets import draft_of, find_preset

    preset = find_preset(name)
    anatomy = _anatomy(screen, locate_base(model or _default_model(), folder))
    remarks.append(f"The preset {preset.name}, from {preset.source}.")
    return draft_of(preset, known_base(anatomy))


def _of_guide(
    screen: Screen, guide: Path, model: str | None, folder: Path, remarks: list[str], problems: list[Problem]
) -> Draft:
    from rankwise.facts.naming import known_base
    from rankwise.recipe.draft import LeftOut
    from rankwise.recipe.foreign import load_foreign
    from rankwise.recipe.translate import translate

    foreign = load_foreign(guide)
    remarks.append(f"From {guide} ({foreign.dialect.name}). What it leaves out is auto: {foreign.dialect.unsaid}.")
    wanted = model or foreign.model or _default_model()
    anatomy = _anatomy_if_here(screen, wanted, folder, named=model is not None)
    if anatomy is None:
        message = "the base is not here, so its layers' names and sizes were not looked at; rankwise plan will"
        problems.append(Problem("note", "base-not-here", wanted, message))
    draft = translate(foreign, None if anatomy is None else known_base(anatomy))
    if model is not None and foreign.model not in (None, model):
        draft.chosen.pop("model", None)
        draft.leave(LeftOut(str(guide), "model", foreign.model, ""), f"--model names {model}")
    return draft


def _anatomy_if_here(screen: Screen, model: str, folder: Path, named: bool) -> Anatomy | None:
    """The base's; None where the file, and not the user, names one that is not here."""
    from rankwise.facts import locate_base

    try:
        located = locate_base(model, folder)
    except BaseError:
        if named:
            raise
        return None
    return _anatomy(screen, located) if named or located.ready or located.kind == "embedded" else None


def _anatomy(screen: Screen, located: Located) -> Anatomy:
    from rankwise.facts import fetch_facts, read_anatomy

    with screen.watching() as observer:
        path = fetch_facts(located, observer)
    return read_anatomy(path, located.name)


def _complete(draft: Draft, model: str | None, domain: str | None) -> None:
    """The base and domain that were named, and a place for rows where the domain brings none."""
    from rankwise.recipe.domains import DOMAINS
    from rankwise.recipe.write import Chosen

    chosen = draft.chosen
    if model is not None:
        chosen["model"] = Chosen(model, "the base, as you named it")
    if domain is not None:
        chosen["domain"] = Chosen(domain, "a kind of task with its prompt, its scorer and its sample rows")
    asked = DOMAINS.get(str(chosen["domain"].value)) if "domain" in chosen else None
    if asked is None or asked.train is None:
        kinds = "a .jsonl, .json, .csv or .parquet file (relative to this recipe), or a hub id"
        chosen.setdefault("data.train", Chosen(PLACEHOLDER, f"to be replaced by your rows: {kinds}"))


def _default_model() -> str:
    from rankwise.recipe import Recipe

    return str(Recipe.model_fields["model"].default)
