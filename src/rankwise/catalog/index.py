"""The catalogue's index in SQLite; imported only by functions that need it, since SQLAlchemy is slow to start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    select,
    text,
)
from sqlalchemy import insert as insert_into
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from rankwise.catalog.record import Entry
from rankwise.files import home

VERSION = 1
"""Of the table below; an index of another version is made again, not migrated."""

BUSY_MILLISECONDS = 10_000

metadata = MetaData()
adapters = Table(
    "adapters",
    metadata,
    Column("shelf", String, primary_key=True),
    Column("digest", String, primary_key=True),
    Column("path", String, nullable=False),
    Column("name", String, nullable=False),
    Column("domain", String),
    Column("method", String, nullable=False),
    Column("task", String, nullable=False),
    Column("base", String, nullable=False),
    Column("base_weights", String, nullable=False, index=True),
    Column("r", BigInteger, nullable=False),
    Column("parameters", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created", String, nullable=False),
    Column("parent", String),
    Column("metrics", JSON, nullable=False),
)


def index_file() -> Path:
    return home() / "catalogue.sqlite"


def exists() -> bool:
    return index_file().is_file()


def read() -> tuple[Entry, ...] | None:
    """All entries in the index; None if it is missing, torn or of another version."""
    if not exists():
        return None
    try:
        with _connection() as connection:
            if connection.scalar(text("PRAGMA user_version")) != VERSION:
                return None
            rows = connection.execute(select(adapters)).mappings().all()
            return tuple(Entry(**{**row, "path": home() / row["path"]}) for row in rows)
    except (DatabaseError, TypeError, ValueError):
        return None


def write(entries: Iterable[Entry]) -> None:
    """Make the index hold exactly `entries`, in one transaction; a torn one is thrown away first."""
    if read() is None:
        remove()
    index_file().parent.mkdir(parents=True, exist_ok=True)
    rows = [{**vars(entry), "path": str(entry.path.relative_to(home()))} for entry in entries]
    with _connection() as connection:
        metadata.create_all(connection)
        connection.execute(delete(adapters))
        if rows:
            connection.execute(insert_into(adapters), rows)
        connection.execute(text(f"PRAGMA user_version = {VERSION}"))


def remove() -> None:
    for ending in ("", "-wal", "-shm", "-journal"):
        index_file().with_name(index_file().name + ending).unlink(missing_ok=True)


@contextmanager
def _connection() -> Iterator[Connection]:
    """A connection in a transaction, committed at the end; readers never wait for a writer (WAL)."""
    engine = create_engine(f"sqlite:///{index_file()}", poolclass=NullPool)
    event.listen(engine, "connect", _configure)
    with engine.begin() as connection:
        yield connection


def _configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()
