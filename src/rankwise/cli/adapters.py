"""`rankwise adapters`: the catalogue of trained adapters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rankwise.cli.options import Adapter, AsJson
from rankwise.cli.screen import answering, listing, table, whole_first_column
from rankwise.cli.text import METRICS, score_text, size_text, value_text, visible

if TYPE_CHECKING:
    from rich.console import Console

    from rankwise.errors import Problem
    from rankwise.facts import AdapterFacts, AdapterRecord

CHECK_SAYS_NO = 1

adapters = typer.Typer(
    help="The catalogue of adapters: what there is, what is in production, is it sound.", no_args_is_help=True
)


@adapters.command("list")
def list_adapters(as_json: AsJson = False) -> None:
    """List the catalogued adapters, newest first."""
    with answering(as_json) as screen:
        from rankwise.catalog import list_entries

        entries = list_entries()
        if not entries:
            screen.note("no adapter yet; `rankwise train` adds one")
        shown = table(
            "adapter", "alias", "base", "r", "parameters", "size", "score", "made", numbers=("r", "parameters", "size")
        )
        for e in entries:
            score = _score(e.metrics)
            numbers = (str(e.r or "-"), f"{e.parameters:,}", size_text(e.bytes))
            shown.add_row(e.id, e.alias or "", e.base, *numbers, score, e.created)
        if entries:
            whole_first_column(screen.tables, shown)
        screen.answer({"adapters": [entry.as_json() for entry in entries]})


@adapters.command()
def show(adapter: Adapter, as_json: AsJson = False) -> None:
    """Show what an adapter is, what it was trained on and how well it did."""
    with answering(as_json) as screen:
        from rankwise.catalog import list_entries, locate_adapter
        from rankwise.catalog.changes import ancestors
        from rankwise.facts import read_adapter

        facts = read_adapter(locate_adapter(adapter))
        entry = next((entry for entry in list_entries() if entry.digest == facts.digest), None)
        line = [] if facts.record is None else ancestors(facts.record.parent)
        catalogued = "not in the catalogue" if entry is None else entry.id
        _show_facts(screen.tables, facts, catalogued + (", in production" if entry and entry.alias else ""), line)
        record = facts.record.model_dump(mode="json") if facts.record else None
        screen.answer(
            {
                "path": str(facts.path),
                "digest": facts.digest,
                "id": None if entry is None else entry.id,
                "alias": None if entry is None else entry.alias,
                "lineage": line,
                "r": facts.r,
                "parameters": facts.parameters,
                "config": dict(facts.config),
                "record": record,
            }
        )


@adapters.command()
def verify(adapter: Adapter, as_json: AsJson = False) -> None:
    """Check an adapter, also against its base; exit code 1 if unsound."""
    with answering(as_json) as screen:
        from rankwise.catalog import locate_adapter
        from rankwise.facts import verify_adapter

        folder = locate_adapter(adapter)
        problems = verify_adapter(folder)
        sound = not _has_errors(problems)
        if sound:
            problems += _verify_on_base(folder)
            sound = not _has_errors(problems)
        screen.problems(problems)
        screen.tables.print(f"{folder}: {'sound' if sound else 'not sound'}", soft_wrap=True)
        screen.answer({"path": str(folder), "ok": sound, "problems": [problem.as_json() for problem in problems]})
        if not sound:
            raise typer.Exit(CHECK_SAYS_NO)


@adapters.command()
def rebuild(as_json: AsJson = False) -> None:
    """Make the catalogue's index again from the adapter folders."""
    with answering(as_json) as screen:
        from rankwise.catalog import rebuild as rebuild_index

        made = rebuild_index()
        screen.problems(made.problems)
        screen.tables.print(f"{len(made.entries)} adapters listed, {len(made.problems)} folders left out")
        screen.answer(
            {
                "adapters": [entry.as_json() for entry in made.entries],
                "problems": [problem.as_json() for problem in made.problems],
            }
        )


def _verify_on_base(folder: Path) -> list[Problem]:
    """The same with the base in hand, where it is on this machine."""
    from rankwise.errors import BaseError, Problem
    from rankwise.facts import identify_base, locate_base, read_adapter, read_anatomy, verify_adapter

    record = read_adapter(folder).record
    if record is None:
        return []
    try:
        located = locate_base(_model(record), Path.cwd())
        if located.ready:
            known = verify_adapter(folder)
            found = verify_adapter(folder, identify_base(located.path), read_anatomy(located.path, located.name))
            return [problem for problem in found if problem not in known]
    except BaseError:
        pass
    message = f"its base {record.base.name} is not on this machine, so it was not held against it"
    return [Problem("warning", "adapter-base-not-here", str(folder), message)]


def _model(record: AdapterRecord) -> str:
    """The base as the adapter's plan names it, else its short name."""
    decisions = record.plan.get("decisions")
    if record.base.source is not None:
        return record.base.source
    model = decisions.get("model") if isinstance(decisions, dict) else None
    value = model.get("value") if isinstance(model, dict) else None
    return value if isinstance(value, str) else record.base.name


def _has_errors(problems: list[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def _score(metrics: Mapping[str, Any]) -> str:
    """The adapter's score in the metric that its evaluation was decided by."""
    judged, metric = metrics.get("adapter"), metrics.get("metric")
    if not isinstance(judged, dict) or not isinstance(judged.get(metric), float):
        return "not evaluated"
    return f"{METRICS.get(str(metric), str(metric))} {score_text(judged[metric])}"


def _show_facts(console: Console, facts: AdapterFacts, catalogued: str, line: list[str]) -> None:
    rows = {
        "digest": facts.digest,
        "catalogue": catalogued,
        **_shape(facts),
        **_record_rows(facts.record),
        "continues": ", which continues ".join(line) or "no other adapter",
    }
    console.print(f"{facts.path}", style="bold", soft_wrap=True)
    console.print(listing({name: visible(value) for name, value in rows.items()}))


def _shape(facts: AdapterFacts) -> dict[str, str]:
    from rankwise.catalog.card import ranks_text
    from rankwise.facts.payload import CLASSIFIER, PROMPT
    from rankwise.facts.prefix import is_prefix, virtual_tokens

    if facts.is_delta:
        return {"delta": "of every weight of the base", "parameters": f"{facts.parameters:,}"}
    if facts.payload == PROMPT:
        return {"examples": f"{len(facts.config.get('examples', []))}, shown before each question"}
    if facts.payload == CLASSIFIER:
        read = f"the {facts.config.get('features')} of the base's last states"
        return {"linear head on": read, "parameters": f"{facts.parameters:,}"}
    if is_prefix(facts.config):
        tokens, layers = virtual_tokens(facts.config), facts.config.get("num_layers")
        return {"virtual tokens": str(tokens), "parameters": f"{facts.parameters:,} in {layers} layers"}
    return {
        "r": ranks_text(facts),
        "lora_alpha": value_text(facts.config.get("lora_alpha")),
        "parameters": f"{facts.parameters:,} on {len(facts.pairs)} layers",
    }


def _record_rows(record: AdapterRecord | None) -> dict[str, str]:
    if record is None:
        return {"record": "none: another tool made it"}
    from rankwise.catalog.card import method_text

    kept = record.base.quantization
    return {
        "method": method_text(record),
        "name": record.name,
        "domain": record.domain or "none",
        "base": record.base.name if kept == "none" else f"{record.base.name}, kept in {kept}",
        "base weights": record.base.identity.weights,
        "answers": record.task.kind + (f": {', '.join(record.task.labels)}" if record.task.labels else ""),
        **_training_rows(record),
        "score": _score(record.metrics),
    }


def _training_rows(record: AdapterRecord) -> dict[str, str]:
    if not record.data.train:
        return {"trained on": "rows that are not known: another tool made it", "imported": record.created}
    return {
        "trained on": f"{record.data.rows} rows of {record.data.train}",
        "held out": f"{record.data.held_out_rows} rows",
        "seed": str(record.data.seed),
        "plan": record.plan_digest,
        "made": record.created,
    }
