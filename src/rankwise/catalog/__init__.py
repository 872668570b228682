"""The catalogue of trained adapters: folders that are the truth, an index over them, and their cards."""

from rankwise.catalog.card import write_card
from rankwise.catalog.record import Entry
from rankwise.catalog.store import (
    Rebuilt,
    add_metrics,
    by_shelf,
    find_entry,
    list_entries,
    locate_adapter,
    rebuild,
    register,
)

__all__ = [
    "Entry",
    "Rebuilt",
    "add_metrics",
    "by_shelf",
    "find_entry",
    "list_entries",
    "locate_adapter",
    "rebuild",
    "register",
    "write_card",
]
