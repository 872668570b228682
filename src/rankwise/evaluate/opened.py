"""An adapter folder opened on the base that its record names, as it was trained. Torch comes with the opening."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rankwise.errors import AdapterError
from rankwise.events import Observer
from rankwise.facts import AdapterRecord, fetch_base, locate_base, read_adapter, read_machine
from rankwise.plan import Plan

if TYPE_CHECKING:
    from rankwise.model.open import OpenAdapter


def require_record(folder: Path) -> AdapterRecord:
    record = read_adapter(folder).record
    if record is None:
        raise AdapterError(f"{folder}: no rankwise.json, so its base and its rows are unknown; was it made elsewhere?")
    return record


def open_recorded(folder: Path, record: AdapterRecord, observer: Observer) -> OpenAdapter:
    """Raises AdapterError, and BaseError where its base cannot be had."""
    base, dtype = base_folder(folder, record, observer)
    from rankwise.model.open import open_adapter

    return open_adapter(folder, base, dtype, read_machine().device)


def base_folder(folder: Path, record: AdapterRecord, observer: Observer) -> tuple[Path, str]:
    """The folder of the adapter's base, fetched first if need be, and the type it runs in."""
    model, bf16 = _base_of(folder, record)
    return fetch_base(locate_base(model, Path.cwd()), observer), "bfloat16" if bf16 else "float32"


def _base_of(folder: Path, record: AdapterRecord) -> tuple[str, bool]:
    """The base as the adapter's plan names it, and whether it ran in bfloat16; of an imported one as it was named."""
    if record.base.source is not None:
        return record.base.source, False
    try:
        made = Plan.model_validate(record.plan)
        return str(made["model"]), bool(made["training.bf16"])
    except (ValueError, KeyError) as fault:
        raise AdapterError(
            f"{folder}: the plan in its rankwise.json cannot be read ({fault}); was it edited?"
        ) from None
