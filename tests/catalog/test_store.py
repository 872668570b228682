from __future__ import annotations

import json
import multiprocessing
import shutil
import sqlite3
from pathlib import Path

import pytest

from rankwise.catalog.store import adapters_folder, add_metrics, find_entry, list_entries, rebuild, register
from rankwise.errors import AdapterError
from rankwise.facts.adapter import adapter_digest, read_adapter, write_record


def index(home: Path) -> Path:
    return home / "catalogue.sqlite"


@pytest.mark.parametrize("r", [1, 4, 16])
def test_an_adapter_is_copied_and_its_numbers_come_from_the_header(r, make_adapter, own_home):
    folder = make_adapter(r=r)
    entry = register(folder)
    digest = adapter_digest(folder)
    assert entry.id == f"financial/{digest}"
    assert entry.path == own_home / "adapters" / "financial" / digest
    assert (entry.r, entry.parameters) == (r, r * (32 + 16))
    assert {f.name for f in entry.path.iterdir()} == {f.name for f in folder.iterdir()}
    assert read_adapter(entry.path).record == read_adapter(folder).record
    shutil.rmtree(folder)
    assert list_entries() == (entry,)


def test_the_same_content_is_the_same_entry(make_adapter):
    folder = make_adapter()
    first = register(folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "/elsewhere"}))
    assert register(folder) == first
    assert register(first.path) == first
    assert len(list_entries()) == 1


def test_adapters_are_found_by_domain_and_digest(make_adapter):
    old, new = register(make_adapter(1)), register(make_adapter(2))
    other = register(make_adapter(3, domain="legal"))
    assert list_entries() == (other, new, old)
    assert find_entry("financial") == new
    assert find_entry(old.id) == old
    assert find_entry(old.digest) == find_entry(old.digest[:5]) == find_entry(f"financial/{old.digest[:4]}") == old
    for reference in ("retail", "legal/" + old.digest, old.digest[:3], ""):
        with pytest.raises(AdapterError, match=f"no adapter is called so. Catalogued: {other.id}, ") as caught:
            find_entry(reference)
        assert caught.value.problems[0].code == "unknown-adapter"


def test_an_empty_catalogue_says_how_to_fill_it():
    assert list_entries() == ()
    with pytest.raises(AdapterError, match="none yet; `rankwise train` adds one"):
        find_entry("financial")


def test_without_a_domain_its_name_is_the_shelf(make_adapter):
    assert register(make_adapter(domain=None, name="../My reports!")).shelf == "My-reports"
    assert [p.name for p in adapters_folder().iterdir()] == ["My-reports"]


def remove_index(home: Path) -> None:
    index(home).unlink()


def tear_index(home: Path) -> None:
    index(home).write_bytes(b"not a database, whatever it once was" * 200)


def empty_index(home: Path) -> None:
    index(home).write_bytes(b"")


def age_index(home: Path) -> None:
    with sqlite3.connect(index(home)) as connection:
        connection.execute("DROP TABLE adapters")
        connection.execute("PRAGMA user_version = 0")


def drop_rows(home: Path) -> None:
    with sqlite3.connect(index(home)) as connection:
        connection.execute("DELETE FROM adapters")


@pytest.mark.parametrize("harm", [remove_index, tear_index, empty_index, age_index, drop_rows])
def test_a_lost_or_torn_index_is_made_again(harm, make_adapter, own_home):
    before = [register(make_adapter(seed)) for seed in (2, 1, 0)]
    harm(own_home)
    assert list(list_entries()) == before
    harm(own_home)
    assert register(make_adapter(9, domain="legal")).shelf == "legal"
    assert len(list_entries()) == 4
    with sqlite3.connect(index(own_home)) as connection:
        assert connection.execute("SELECT count(*) FROM adapters").fetchone() == (4,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_folders_are_the_truth(make_adapter, own_home):
    kept, gone = register(make_adapter(1)), register(make_adapter(2))
    shutil.rmtree(gone.path)
    assert list_entries() == (kept,)
    moved = own_home.parent / "moved"
    own_home.rename(moved)
    own_home.mkdir()
    shutil.move(moved / "adapters", own_home / "adapters")
    assert list_entries() == (kept,)


def test_rebuild_names_folders_that_are_not_what_they_say(make_adapter):
    good, changed, torn = (register(make_adapter(seed)) for seed in range(3))
    config = json.loads((changed.path / "adapter_config.json").read_text())
    (changed.path / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 77}))
    (torn.path / "rankwise.json").unlink()
    rebuilt = rebuild()
    assert rebuilt.entries == (good,)
    assert {(p.code, p.where) for p in rebuilt.problems} == {
        ("adapter-changed", str(changed.path)),
        ("adapter-no-record", str(torn.path)),
    }
    assert list_entries() == (good,)


def test_a_faulty_adapter_is_not_let_in(make_adapter):
    folder = make_adapter()
    (folder / "optimizer.pt").write_bytes(b"")
    with pytest.raises(AdapterError, match="pickles are never read"):
        register(folder)
    (folder / "optimizer.pt").unlink()
    (folder / "rankwise.json").unlink()
    with pytest.raises(AdapterError, match="only adapters with one are catalogued"):
        register(folder)
    assert list_entries() == ()


def test_an_unfinished_copy_is_not_listed(make_adapter):
    entry = register(make_adapter())
    shutil.copytree(entry.path, entry.path.parent / f".{entry.digest}.abcd1234")
    assert rebuild().entries == (entry,)
    assert rebuild().problems == ()


def test_many_processes_register_and_list_at_once(make_adapter):
    folders = [make_adapter(seed) for seed in range(4)]
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        ids = pool.map(register_and_list, folders * 3, chunksize=1)
    assert len(set(ids)) == 4
    assert {e.id for e in list_entries()} == set(ids)


def register_and_list(folder: Path) -> str:
    entry = register(folder)
    assert entry in list_entries()
    return entry.id


def test_an_evaluation_reaches_record_card_and_index(make_adapter):
    folder = make_adapter()
    entry = register(folder)
    found = {"rows": 40, "base": {"accuracy": 0.25}, "adapter": {"accuracy": 0.875}}
    add_metrics(folder, found)
    (listed,) = list_entries()
    assert listed.digest == entry.digest == adapter_digest(folder)
    assert {key: listed.metrics[key] for key in found} == found
    assert entry.metrics.items() <= listed.metrics.items()
    for place in (folder, entry.path):
        assert "0.875" in (place / "README.md").read_text()
        assert read_adapter(place).record.metrics == listed.metrics
    assert rebuild().entries == (listed,)


def test_scores_of_a_run_that_gained_nothing_leave_the_record_of_its_parent(make_adapter, tmp_path):
    parent = make_adapter()
    entry = register(parent)
    add_metrics(parent, {"adapter": {"accuracy": 0.5}})
    child = tmp_path / "child"
    shutil.copytree(parent, child)
    record = read_adapter(child).record
    write_record(child, record.model_copy(update={"parent": entry.id, "created": "2026-02-02T00:00:00Z"}))
    assert register(child).id == entry.id
    add_metrics(child, {"adapter": {"accuracy": 0.75}})
    (listed,) = list_entries()
    assert (listed.parent, listed.metrics["adapter"]) == (None, {"accuracy": 0.5})
    assert read_adapter(child).record.metrics["adapter"] == {"accuracy": 0.75}
