"""Letting in an adapter that another tool made: checked against its base, and given the record it lacks."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rankwise.catalog.card import write_card
from rankwise.catalog.record import Entry
from rankwise.catalog.store import adapters_folder, refusal, register
from rankwise.errors import AdapterError, Problem, raise_if_errors
from rankwise.facts import (
    AdapterRecord,
    BaseRecord,
    DataRecord,
    Located,
    TaskRecord,
    identify_base,
    read_adapter,
    read_anatomy,
    write_record,
)
from rankwise.facts.adapter import RECORD
from rankwise.facts.foreign import check_foreign
from rankwise.facts.payload import CONFIG, WEIGHTS
from rankwise.facts.verify import verify_adapter
from rankwise.files import read_json


def named_base(folder: Path) -> str:
    """What the folder's config calls its base. AdapterError if it does not say."""
    try:
        named = read_json(folder / CONFIG)["base_model_name_or_path"]
    except FileNotFoundError:
        raise refusal("adapter-config", str(folder), f"no {CONFIG} in it; give the folder of a PEFT adapter") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        named = None
    if not isinstance(named, str) or not named:
        raise refusal("adapter-base-unknown", str(folder), f"its {CONFIG} names no base; say which with --base")
    return named


def import_adapter(folder: Path, located: Located, base: Path, domain: str | None) -> Entry:
    """Check the PEFT LoRA folder against the base in folder `base`, and put it into the catalogue.

    Its two files are copied, and nothing else in it; one that rankwise made keeps its record. Raises AdapterError with
    all that is wrong with it.
    """
    if not (folder / CONFIG).is_file():
        raise refusal("adapter-config", str(folder), f"no {CONFIG} in it; give the folder of a PEFT adapter")
    raise_if_errors(AdapterError, _faults(folder, base))
    adapters_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".import.", dir=adapters_folder().parent) as draft:
        copy = Path(draft) / "adapter"
        copy.mkdir()
        for name in (CONFIG, WEIGHTS, RECORD):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, copy / name)
        raise_if_errors(AdapterError, _faults(copy, base))  # what was looked at may have been changed since
        facts = read_adapter(copy)
        if facts.record is None:
            record = _record(folder, located, base, domain, facts.config.get("peft_version"))
            write_record(copy, record)
            write_card(copy, record, facts)
        return register(copy)


def _faults(folder: Path, base: Path) -> list[Problem]:
    anatomy = read_anatomy(base)
    faults = check_foreign(folder, anatomy)
    try:
        recorded = read_adapter(folder).record is not None
    except AdapterError:
        return faults
    if not recorded:
        return faults
    return faults + [fault for fault in verify_adapter(folder, identify_base(base)) if fault not in faults]


def _record(folder: Path, located: Located, base: Path, domain: str | None, peft: object) -> AdapterRecord:
    """All that is known of it, which is little."""
    return AdapterRecord(
        name=folder.resolve().name,
        domain=domain,
        base=BaseRecord(name=located.name, identity=identify_base(base), source=located.source),
        task=TaskRecord(kind="open", scorer="auto", shape="messages"),
        data=DataRecord(train="", train_sha256="", rows=0, seed=0),
        plan={},
        plan_digest="",
        versions={"peft": peft} if isinstance(peft, str) and len(peft) < 40 else {},
        machine={},
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
