"""Promotion, rollback and removal: the shelf's file is the truth, and keeps every move."""

from __future__ import annotations

import json
import shutil

import pytest

from rankwise.catalog import index
from rankwise.catalog.alias import FILE, Move, before, read_moves
from rankwise.catalog.changes import ancestors, production_of, promote, remove, rollback
from rankwise.catalog.listing import SETTLED, Listing
from rankwise.catalog.store import by_shelf, find_entry, list_entries, rebuild, register
from rankwise.errors import AdapterError
from rankwise.facts.adapter import adapter_digest, read_adapter, write_record


def code(caught) -> str:
    return caught.value.problems[0].code


@pytest.fixture
def three(make_adapter):
    return [register(make_adapter(seed)) for seed in range(3)]


def test_a_domain_is_its_adapter_in_production_else_its_newest(three):
    old, _, new = three
    assert find_entry("financial") == new
    move = promote(old, None, None, {"difference": 0.25})
    assert (move.kind, move.digest, move.forced, move.figures) == ("promote", old.digest, None, {"difference": 0.25})
    named = find_entry("financial")
    assert (named.id, named.alias) == (old.id, "production")
    assert production_of("financial") == named == by_shelf(list_entries())["financial"]
    assert [e.alias for e in list_entries()] == [None, None, "production"]


def test_every_move_is_kept_and_survives_a_lost_index(three, own_home):
    first, second, third = three
    promote(first, None, None, {})
    promote(second, first, "the first one is too slow", {})
    promote(third, second, None, {})
    assert rollback("financial").digest == second.digest
    assert rollback("financial").digest == first.digest
    with pytest.raises(AdapterError, match="nothing that is still there was before it") as caught:
        rollback("financial")
    assert code(caught) == "nothing-before"
    kinds = ["promote", "promote", "promote", "rollback", "rollback"]
    moves = read_moves(first.path.parent)
    assert [move.kind for move in moves] == kinds
    assert moves[1].forced == "the first one is too slow" and moves[1].by and moves[1].at.endswith("Z")
    assert index.read().moves == {"financial": moves}
    (own_home / "catalogue.sqlite").unlink()
    assert find_entry("financial").id == first.id
    rebuild()
    assert index.read().moves == {"financial": moves}


def moves_of(*steps: tuple[str, str]) -> list[Move]:
    return [Move(kind=kind, digest=digest, at="", by="") for kind, digest in steps]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], None),
        ([("promote", "a")], None),
        ([("promote", "a"), ("promote", "b")], "a"),
        ([("promote", "a"), ("promote", "b"), ("rollback", "a")], None),
        ([("promote", "a"), ("promote", "b"), ("rollback", "a"), ("promote", "c")], "a"),
        ([("promote", "a"), ("promote", "b"), ("promote", "a")], "b"),
        ([("promote", "a"), ("promote", "gone"), ("promote", "c")], "a"),
    ],
)
def test_what_was_there_before(steps, expected):
    assert before(moves_of(*steps), {"a", "b", "c"}) == expected


def test_nothing_moves_twice_or_past_another(three):
    first, second, third = three
    promote(first, None, None, {})
    with pytest.raises(AdapterError) as caught:
        promote(first, first, None, {})
    assert code(caught) == "already-in-production"
    promote(second, first, None, {})
    with pytest.raises(AdapterError, match=f"meanwhile {second.id} is in production") as caught:
        promote(third, first, None, {})
    assert code(caught) == "production-changed"
    with pytest.raises(AdapterError, match="There are: financial") as caught:
        rollback("legal")
    assert code(caught) == "unknown-domain"


def test_what_is_in_production_is_not_removed_unless_forced(three):
    first, second, _ = three
    remove(second, force=False)
    assert not second.path.exists() and len(list_entries()) == 2
    promote(first, None, None, {})
    with pytest.raises(AdapterError, match="promote another or roll back first"):
        remove(find_entry(first.id), force=False)
    remove(find_entry(first.id), force=True)
    assert production_of("financial") is None
    assert [move.kind for move in read_moves(first.path.parent)] == ["promote", "remove"]
    assert {p.name for p in first.path.parent.iterdir()} == {FILE, three[2].digest}


def test_one_deleted_by_hand_is_in_production_no_more(three):
    first, second, third = three
    promote(first, None, None, {})
    shutil.rmtree(first.path)
    assert production_of("financial") is None
    assert find_entry("financial").id == third.id
    promote(second, None, None, {})
    assert find_entry("financial").id == second.id


@pytest.mark.parametrize("text", ["", "{", "{}", '[{"kind": "sold"}]', "[" * 3000])
def test_a_damaged_file_is_never_taken_for_no_production(text, three):
    promote(three[0], None, None, {})
    (three[0].path.parent / FILE).write_text(text)
    with pytest.raises(AdapterError, match="restore the file, or delete it and promote") as caught:
        find_entry("financial")
    assert code(caught) == "production-unreadable"


def test_lineage_goes_back_through_what_is_there(make_adapter):
    grand = register(make_adapter(0, parent="feedfeedfeed"))
    parent = register(make_adapter(1, parent=grand.digest, domain="legal"))
    child = register(make_adapter(2, parent=parent.digest))
    assert ancestors(child.parent) == [parent.id, grand.id, "feedfeedfeed"]
    remove(grand, force=False)
    assert ancestors(child.parent) == [parent.id, grand.digest]


def test_a_listing_reads_again_only_after_a_change(three, make_adapter, monkeypatch):
    import os

    from rankwise.catalog import listing

    reads = []
    monkeypatch.setattr(listing, "list_entries", lambda: reads.append(0) or list_entries())
    shelf = three[0].path.parent

    def settle():
        for folder in (shelf, shelf.parent):
            seen = folder.stat().st_mtime_ns - int((SETTLED + 1) * 1e9)
            os.utime(folder, ns=(seen, seen))

    watched = Listing()
    assert len(watched.entries()) == len(watched.entries()) == 3
    assert len(reads) == 2, "just changed: another change might leave the same time"
    settle()
    assert [len(watched.entries()) for _ in range(5)] == [3] * 5
    assert len(reads) == 3
    register(make_adapter(7))
    assert len(watched.entries()) == 4
    promote(three[0], None, None, {})
    assert watched.entries()[-1].alias == "production"
    settle()
    before = len(reads)
    shutil.rmtree(three[1].path)
    assert len(watched.entries()) == 3 and len(reads) == before + 1


def test_production_json_says_it_all(three):
    promote(three[0], None, "no rows left", {"rows": 0})
    (move,) = json.loads((three[0].path.parent / FILE).read_text())
    assert move.keys() == {"kind", "digest", "at", "by", "forced", "figures"}


def test_a_lineage_that_comes_back_to_itself_ends(make_adapter):
    """A run that goes on from an adapter and betters nothing leaves the same weights, under the same digest."""
    folder = make_adapter(0)
    digest = adapter_digest(folder)
    record = read_adapter(folder).record
    assert record is not None
    write_record(folder, record.model_copy(update={"parent": digest}))
    entry = register(folder)
    assert entry.digest == digest and ancestors(entry.parent) == [entry.id]
