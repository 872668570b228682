"""The index on SQLite and on a real PostgreSQL: both hold what the folders hold, whoever else writes."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from rankwise.catalog import index
from rankwise.catalog.store import list_entries, rebuild, register
from rankwise.errors import AdapterError


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request) -> str:
    if request.param == "postgres":
        request.getfixturevalue("postgres")
    return request.param


def execute(kind: str, statement: str) -> list[tuple]:
    """Run SQL behind the catalogue's back."""
    url = index._url()
    with create_engine(url).begin() as connection:
        result = connection.exec_driver_sql(statement)
        return [tuple(row) for row in result] if result.returns_rows else []


def test_it_holds_what_the_folders_hold(kind, make_adapter, own_home):
    old, new = register(make_adapter(1)), register(make_adapter(2, domain="legal"))
    assert list_entries() == (new, old)
    assert sorted(index.read().entries, key=lambda e: e.created) == [old, new]
    assert (own_home / "catalogue.sqlite").exists() == (kind == "sqlite")
    shutil.rmtree(old.path)
    assert list_entries() == (new,)
    assert execute(kind, "SELECT shelf, digest FROM adapters") == [("legal", new.digest)]


@pytest.mark.parametrize("harm", ["DELETE FROM adapters", "UPDATE adapters SET digest = 'ffffffffffff'"])
def test_rows_lost_or_wrong_are_read_again(kind, harm, make_adapter):
    entry = register(make_adapter())
    execute(kind, harm)
    assert list_entries() == (entry,)
    assert index.read().entries == (entry,)


def test_rebuild_makes_it_from_the_folders_alone(kind, make_adapter):
    entry = register(make_adapter())
    execute(kind, "UPDATE adapters SET name = 'nonsense'")
    assert list_entries()[0].name == "nonsense"
    assert rebuild().entries == list_entries() == (entry,)


def register_and_list(folder: Path) -> str:
    entry = register(folder)
    assert entry in list_entries()
    return entry.id


def test_many_processes_register_at_once_into_an_empty_index(kind, make_adapter):
    folders = [make_adapter(seed) for seed in range(4)]
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        ids = pool.map(register_and_list, folders * 3, chunksize=1)
    assert len(set(ids)) == 4
    assert {e.id for e in list_entries()} == {e.id for e in index.read().entries} == set(ids)


def register_at(home: Path, folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANKWISE_HOME", str(home))
        register(folder)


def test_homes_that_share_a_database_do_not_see_each_other(postgres, make_adapter, own_home, tmp_path):
    """Their lock files are two, so that the database alone keeps the writers apart."""
    folders = [make_adapter(seed) for seed in range(6)]
    homes = [own_home if seed % 2 else tmp_path / "another" for seed in range(6)]
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.starmap(register_at, zip(homes, folders, strict=True), chunksize=1)
    assert len(list_entries()) == 3
    assert sorted(execute("postgres", "SELECT home, count(*) FROM adapters GROUP BY home")) == [
        (str(tmp_path / "another"), 3),
        (str(own_home), 3),
    ]
    rebuild()
    assert execute("postgres", "SELECT count(*) FROM adapters") == [(6,)]


def test_the_migrations_make_the_tables_that_the_code_declares(kind, make_adapter):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from rankwise.catalog.tables import Base

    register(make_adapter())
    assert ScriptDirectory(str(Path(index.__file__).parent / "migrations")).get_heads() == [index.HEAD]
    with create_engine(index._url()).connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": index.VERSION_TABLE})
        assert context.get_current_revision() == index.HEAD
        assert compare_metadata(context, Base.metadata) == []
        assert set(inspect(connection).get_table_names()) == {*Base.metadata.tables, index.VERSION_TABLE}


def test_an_index_from_before_migrations_is_made_again(make_adapter, own_home):
    entry = register(make_adapter())
    index.index_file().unlink()
    with sqlite3.connect(index.index_file()) as connection:
        connection.execute("CREATE TABLE adapters (shelf VARCHAR, digest VARCHAR, path VARCHAR)")
        connection.execute("INSERT INTO adapters VALUES ('financial', 'ffffffffffff', 'nowhere')")
        connection.execute("PRAGMA user_version = 1")
    assert list_entries() == (entry,)
    assert index.read().entries == (entry,)


def test_tables_of_a_newer_release(kind, make_adapter):
    """A file is made again; a database that others use is left alone."""
    entry = register(make_adapter())
    execute(kind, f"UPDATE {index.VERSION_TABLE} SET version_num = 'r9999'")
    if kind == "sqlite":
        assert list_entries() == (entry,)
        return
    with pytest.raises(AdapterError, match="tables are of another release") as caught:
        list_entries()
    assert caught.value.problems[0].code == "catalogue-unusable"
    assert execute(kind, "SELECT count(*) FROM adapters") == [(1,)]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("somewhere", "it is no URL; expected postgresql://USER@HOST/DATABASE"),
        ("mysql://root:secret@localhost/a", "got a database of kind mysql"),
        ("postgresql://me:secret@127.0.0.1:1/none", "PostgreSQL says: connection"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(url, said, make_adapter, own_home, monkeypatch):
    pytest.importorskip("psycopg")
    monkeypatch.setenv("RANKWISE_CATALOG_URL", url)
    folder = make_adapter()
    with pytest.raises(AdapterError, match=said) as caught:
        register(folder)
    assert caught.value.problems[0].where == "RANKWISE_CATALOG_URL"
    assert "secret" not in str(caught.value)
    monkeypatch.delenv("RANKWISE_CATALOG_URL")
    assert len(list_entries()) == 1, "the folder was put in its place before the index was asked"


def test_an_index_of_the_step_before_keeps_its_rows(kind, make_adapter, monkeypatch):
    entry = register(make_adapter())
    execute(kind, "DROP TABLE moves")
    execute(kind, f"UPDATE {index.VERSION_TABLE} SET version_num = 'r0001'")
    execute(kind, "UPDATE adapters SET name = 'kept'")
    assert [e.name for e in list_entries()] == [entry.name]
    index.update((), (), {})
    assert execute(kind, "SELECT count(*) FROM moves") == [(0,)]
