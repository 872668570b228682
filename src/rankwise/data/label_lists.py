"""Text/label rows whose label is a list: any number of labels a text, none of them too."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rankwise.data.json_records import Report
from rankwise.data.table import Faults, Record, kind_of, quoted


def labels_text(labels: Sequence[str]) -> str:
    """The one spelling of a set of labels: a JSON list, sorted."""
    return json.dumps(sorted(labels), ensure_ascii=False)


def read_labels(given: Sequence[Any], report: Report) -> tuple[str, ...] | None:
    """The labels of one row, sorted; None, and every fault reported, where the list is not one of different labels."""
    wrong = [kind_of(label) for label in given if not isinstance(label, str | int) or isinstance(label, bool)]
    if wrong:
        report("wrong-type", f'"label" is a list with {wrong[0]} in it, expected strings or whole numbers')
        return None
    labels = [str(label) for label in given]
    if blank := sum(not label.strip() for label in labels):
        report("empty-answer", f'"label" is a list with {blank} empty labels in it; an empty list says that none holds')
    repeated = [label for label, times in Counter(labels).items() if times > 1]
    if repeated:
        report("duplicate-label", f'"label" names {quoted(repeated)} more than once; keep one of each')
    return None if blank or repeated else tuple(sorted(labels))


def report_written_list(label: str | None, report: Report) -> None:
    """A list inside a text would be one label of its own; a cell of CSV can hold no other."""
    if label is None or not label.lstrip().startswith("["):
        return
    try:
        value = json.loads(label)
    except (ValueError, RecursionError):
        return
    if isinstance(value, list):
        message = (
            '"label" is a text that holds a list; for several labels a text write the list itself, in a .jsonl, .json '
            "or .parquet file (CSV has no lists)"
        )
        report("label-list-in-text", message)


def report_mixed(records: Sequence[Record], faults: Faults) -> None:
    """Either every row has one label, or every row has a list of them; those of the rarer kind are faults."""
    lists = [record for record in records if isinstance(record.fields.get("label"), list)]
    single = [record for record in records if isinstance(record.fields.get("label"), str | int)]
    if not lists or not single:
        return
    if len(lists) < len(single):
        message = f'"label" is a list here and one label in {faults.where(single[0].line)}; write all rows as lists'
    else:
        message = (
            f'"label" is one label here and a list in {faults.where(lists[0].line)}; write it as a list of one, ["..."]'
        )
    for record in lists if len(lists) < len(single) else single:
        faults.error("mixed-labels", message, record.line)
