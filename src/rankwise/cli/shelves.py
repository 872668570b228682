"""`rankwise adapters promote|rollback|remove`: what changes in the catalogue by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rankwise.cli.adapters import CHECK_SAYS_NO
from rankwise.cli.options import AsJson
from rankwise.cli.screen import Screen, answering, table
from rankwise.cli.text import METRICS, score_text, visible

if TYPE_CHECKING:
    from rankwise.evaluate.geometry import Geometry
    from rankwise.evaluate.pair import Pair

Catalogued = Annotated[str, typer.Argument(metavar="ADAPTER", help="DOMAIN/DIGEST, or the first digits of the digest.")]
Data = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Rows to judge on; default: the first adapter's held-out rows.")
]


def promote(
    adapter: Catalogued,
    data: Data = None,
    force: Annotated[
        str | None, typer.Option(metavar="WHY", help="Move it unasked; user, time and this reason are kept.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put an adapter into production unless it is worse; exit code 1 if so."""
    with answering(as_json) as screen:
        from rankwise import api

        if force is not None and not force.strip():
            raise typer.BadParameter("say why: --force 'the prompt has changed'")
        with screen.watching() as observer:
            done = api.promote(adapter, data, force, observer)
        replaced = None if done.replaced is None else done.replaced.id
        if done.pair is not None:
            show_pair(screen, done.pair, done.adapter.id, str(replaced))
        place = f"production of {done.adapter.shelf}"
        if not done.promoted:
            told = f"{place} stays {replaced}: the new one is seen to be worse; --force WHY moves it all the same"
        else:
            before = f", before it {replaced}" if replaced else "; nothing was in production"
            told = f"{place}: {done.adapter.id}{before}"
        screen.tables.print(told, soft_wrap=True)
        screen.answer(done.as_json())
        if not done.promoted:
            raise typer.Exit(CHECK_SAYS_NO)


def compare(
    first: Annotated[str, typer.Argument(metavar="ADAPTER", help="Adapter folder, or its name in the catalogue.")],
    second: Annotated[str, typer.Argument(metavar="OTHER", help="Another one.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Two adapters: scores on the same rows, flips, and geometry."""
    with answering(as_json) as screen:
        from rankwise import api

        with screen.watching() as observer:
            done = api.compare_adapters(first, second, data, observer)
        if isinstance(done.pair, str):
            screen.note(f"not asked for answers: {done.pair}")
        else:
            show_pair(screen, done.pair, done.first, done.second)
        if isinstance(done.geometry, str):
            screen.note(f"no geometry: {done.geometry}")
        else:
            _show_geometry(screen, done.geometry, done.first, done.second)
        screen.answer(done.as_json())


def _show_geometry(screen: Screen, found: Geometry, first: str, second: str) -> None:
    from rankwise.evaluate.geometry import by_layer

    norms = (f"norm of {first}", f"norm of {second}")
    rest = ("cosine", "outputs shared", "inputs shared")
    shown = table("layer", *norms, *rest, numbers=(*norms, *rest))
    for layer in by_layer(found):
        overlaps = (f"{layer.outputs:.3f} ({layer.chance[0]:.3f})", f"{layer.inputs:.3f} ({layer.chance[1]:.3f})")
        angle = "-" if layer.cosine is None else f"{layer.cosine:+.3f}"
        shown.add_row(layer.name, *(f"{norm:.4g}" for norm in layer.norms), angle, *overlaps)
    shown.title = "The updates of the weights, layer by layer; in brackets what random subspaces would share"
    screen.tables.print(shown)
    for name, alone in zip((first, second), found.alone, strict=True):
        if alone:
            screen.tables.print(f"{name} alone changes {len(alone)} more, such as {alone[0]}", soft_wrap=True)


def rollback(
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="A domain of the catalogue.")],
    as_json: AsJson = False,
) -> None:
    """Put back what was in production before."""
    with answering(as_json) as screen:
        from rankwise.catalog import changes

        left = changes.production_of(domain)
        move = changes.rollback(domain)
        back, gone = f"{domain}/{move.digest}", None if left is None else left.id
        screen.tables.print(f"production of {domain}: {back} again, no longer {gone or 'nothing'}", soft_wrap=True)
        screen.answer({"adapter": back, "replaced": gone})


def remove(
    adapter: Catalogued,
    force: Annotated[bool, typer.Option("--force", help="Also if it is in production.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete an adapter from the catalogue."""
    with answering(as_json) as screen:
        from rankwise.catalog import changes, find_entry
        from rankwise.errors import AdapterError

        entry = find_entry(adapter)
        if adapter == entry.shelf:
            message = f"a domain; name the adapter itself, such as {entry.id}"
            raise AdapterError(f"{adapter}: {message}")
        changes.remove(entry, force)
        screen.tables.print(f"removed {entry.id}", soft_wrap=True)
        screen.answer({"removed": entry.id, "path": str(entry.path)})


def import_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a PEFT LoRA adapter.")],
    base: Annotated[str | None, typer.Option(metavar="MODEL", help="Its base; default: what its config names.")] = None,
    domain: Annotated[str | None, typer.Option(metavar="NAME", help="Domain to shelve it in.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check another tool's PEFT adapter and let it in."""
    with answering(as_json) as screen:
        from rankwise import api

        with screen.watching() as observer:
            entry = api.import_adapter(folder, base, domain, observer)
        screen.tables.print(f"in the catalogue: {entry.id}", soft_wrap=True)
        screen.answer({"adapter": entry.as_json()})


def merge(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="Adapter folder, or its name in the catalogue.")],
    output: Annotated[Path, typer.Option(metavar="DIR", help="New folder for the whole model.")],
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rows to compare on; default: the adapter's held-out rows.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write base plus adapter as one model, and say what it lost."""
    with answering(as_json) as screen:
        from rankwise import api

        with screen.watching() as observer:
            done = api.merge(adapter, output, data, observer)
        parity = done.parity
        lines = [
            f"{done.changed} tensors changed in {done.path}",
            f"logits differ by at most {parity.logits_difference:.1e} of the largest, on {parity.logit_rows} rows; the "
            f"likeliest token is the same for {parity.same_first:.2%}",
            f"held-out bits/token: {parity.adapter_bits:.4f} with the adapter, {parity.merged_bits:.4f} merged, "
            f"on {parity.rows} rows",
        ]
        if done.quantization != "none":
            lines.append(
                f"the adapter was trained on the base in {done.quantization}; it was merged into the whole one"
            )
        if done.head_untied:
            lines.append("the adapter moves the head, which was one with the embeddings: they are two now")
        screen.tables.print("\n".join(lines), soft_wrap=True)
        screen.answer(done.as_json())


def show_pair(screen: Screen, pair: Pair, first: str, second: str) -> None:
    """Scores side by side, the difference, the flips, and what the rows are."""
    shown = table("", first, second, "difference", "95% interval", "p", numbers=(first, second, "difference", "p"))
    for metric, title in METRICS.items():
        scores = [contestant.scores.get(metric) for contestant in (pair.first, pair.second)]
        if any(score is not None for score in scores):
            found = ("", "", "")
            if metric == pair.metric:
                low, high = pair.difference.interval
                found = (f"{pair.difference.value:+.3f}", f"{low:+.3f} to {high:+.3f}", f"{pair.difference.p:.2g}")
            shown.add_row(title, *map(score_text, scores), *found)
    shown.title = f"{pair.rows} rows of {visible(pair.held_out)}"
    screen.tables.print(shown)
    gained, lost = len(pair.flips.gained), len(pair.flips.lost)
    screen.tables.print(f"{first} alone is right on {gained} rows, {second} alone on {lost}.", soft_wrap=True)
    if pair.left_out:
        screen.note(f"{pair.left_out} rows that {second} was trained on were left out")
    if pair.unknown_training:
        screen.note(f"{second} may have been trained on some of these rows: {pair.unknown_training}")
