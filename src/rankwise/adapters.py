"""What is done with adapters that are there: promoted, compared, let in, merged. `api` hands it on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankwise import catalog
from rankwise.data.split import spread
from rankwise.errors import AdapterError, DataError, Problem
from rankwise.evaluate.opened import base_folder, open_recorded, require_record
from rankwise.evaluate.rows import as_trained, evaluation_rows
from rankwise.events import Observer, ignore
from rankwise.facts import fetch_base, locate_base, read_adapter, read_anatomy, read_machine
from rankwise.files import new_folder, write_json

if TYPE_CHECKING:
    from rankwise.evaluate.geometry import Geometry
    from rankwise.evaluate.pair import Pair
    from rankwise.export.parity import Parity

MERGE_ROWS = 64
"""Most held-out rows that a merged model is held against its adapter on."""


@dataclass(frozen=True)
class Promotion:
    """What `promote` found, and whether it moved the domain's production alias."""

    adapter: catalog.Entry
    replaced: catalog.Entry | None
    """What was in production."""
    pair: Pair | None
    """The two on the same rows; None: nothing was there to be held against, or it was forced."""
    promoted: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "adapter": self.adapter.id,
            "replaced": None if self.replaced is None else self.replaced.id,
            "promoted": self.promoted,
            "pair": None if self.pair is None else self.pair.as_json(),
        }


def promote(
    reference: str, data: Path | None = None, force: str | None = None, observer: Observer = ignore
) -> Promotion:
    """Put an adapter of the catalogue into production, unless it is seen to be worse than the one there.

    Both answer the new one's held-out rows, or those of `data`. `force`: move it without asking; the reason is kept.
    """
    from rankwise.catalog import changes

    entry = catalog.find_entry(reference)
    there = changes.production_of(entry.shelf)
    pair = None
    if there is not None and there.id != entry.id and force is None:
        from rankwise.evaluate.pair import judge_pair

        pair = judge_pair(entry.path, there.path, data, observer)
        if pair.is_worse:
            return Promotion(entry, there, pair, promoted=False)
    changes.promote(entry, there, force, {} if pair is None else pair.figures())
    return Promotion(catalog.find_entry(entry.id), there, pair, promoted=True)


def import_adapter(
    folder: Path, base: str | None = None, domain: str | None = None, observer: Observer = ignore
) -> catalog.Entry:
    """Put a PEFT LoRA folder of another tool into the catalogue, once it passed every check against its base: `base`,
    else what its config names. Raises AdapterError with all faults."""
    from rankwise.catalog.imported import import_adapter as let_in
    from rankwise.catalog.imported import named_base

    located = locate_base(base or named_base(folder), Path.cwd())
    return let_in(folder, located, fetch_base(located, observer), domain)


@dataclass(frozen=True)
class Compared:
    """Two adapters: what they say to the same rows, and how their updates lie to each other."""

    first: str
    second: str
    pair: Pair | str
    """Or why they could not be asked."""
    geometry: Geometry | str
    """Or why there is none."""

    def as_json(self) -> dict[str, Any]:
        pair = {"pair": None, "no_pair": self.pair} if isinstance(self.pair, str) else {"pair": self.pair.as_json()}
        if isinstance(self.geometry, str):
            return {"first": self.first, "second": self.second, **pair, "geometry": None, "no_geometry": self.geometry}
        return {"first": self.first, "second": self.second, **pair, "geometry": self.geometry.as_json()}


def compare_adapters(first: str, second: str, data: Path | None = None, observer: Observer = ignore) -> Compared:
    """Two adapters on the same rows (the first's held-out rows, or those of `data`), and their geometry.

    Without `data`, that there are no rows is told in the result; with it, it is an error.
    """
    from rankwise.evaluate.geometry import geometry
    from rankwise.evaluate.pair import judge_pair

    folders = [catalog.locate_adapter(target) for target in (first, second)]
    facts = [read_adapter(folder) for folder in folders]
    pair: Pair | str
    try:
        pair = judge_pair(folders[0], folders[1], data, observer)
    except DataError as fault:
        if data is not None:
            raise
        pair = str(fault)
    names = [f"{folder.parent.name}/{each.digest}" for folder, each in zip(folders, facts, strict=True)]
    return Compared(names[0], names[1], pair, geometry(*facts))


@dataclass(frozen=True)
class Merged:
    """A whole model that `merge` wrote, and what was lost by it."""

    path: Path
    adapter: str
    changed: int
    """Tensors of the base."""
    head_untied: bool
    quantization: str
    """Of the base under the adapter; the sum was made with the unquantised one."""
    held_out: str
    parity: Parity

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "path": str(self.path), "parity": self.parity.as_json()}


def merge(target: str, output: Path, data: Path | None = None, observer: Observer = ignore) -> Merged:
    """Write base plus adapter as a model of its own into the new folder `output`, and hold it against the adapter on
    held-out rows, or on those of `data`. Nothing is left of it if anything fails."""
    folder = catalog.locate_adapter(target)
    record = require_record(folder)
    if output.exists():
        message = "it is there already; give a new folder"
        raise AdapterError(problems=[Problem("error", "output-exists", str(output), message)])
    if record.task.task != "causal_lm":
        message = f"its task is {record.task.task}; merging is built for causal_lm alone"
        raise AdapterError(problems=[Problem("error", "adapter-not-mergeable", str(folder), message)])
    from rankwise.export.merge import require_change, write_merged
    from rankwise.export.parity import compare as hold_against
    from rankwise.export.parity import hear
    from rankwise.model.load import load_base

    require_change(read_adapter(folder))
    rows = evaluation_rows(record, data)
    opened = open_recorded(folder, record, observer)
    held_out = spread(as_trained(rows, record, opened.renderer).held_out, MERGE_ROWS)
    rendered = [opened.renderer.render(row, "last") for row in held_out]
    fitting = [row for row in rendered if len(row.ids) <= opened.max_length]
    if not fitting:
        raise AdapterError(f"{rows.name}: no row fits the base's context; give others with --data")
    facts, adapted = opened.facts, hear(opened.model, fitting)
    base, dtype = base_folder(folder, record, observer)
    del opened
    with new_folder(output) as draft:
        written = write_merged(facts, base, read_anatomy(base), draft)
        merged = hear(load_base(draft, dtype, read_machine().device), fitting)
        parity = hold_against(adapted, merged, len(fitting))
        done = Merged(
            output, facts.digest, written.changed, written.head_untied, record.base.quantization, rows.name, parity
        )
        write_json(draft / "rankwise_merge.json", {**done.as_json(), "base": record.base.model_dump(mode="json")})
    return done
