"""The catalogue's index: SQLite under RANKWISE_HOME, or the PostgreSQL of RANKWISE_CATALOG_URL.

Imported only by functions that need it, since SQLAlchemy is slow to start; Alembic only where tables are out of date.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine, delete, event, inspect, make_url, select, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from rankwise.catalog.alias import Move
from rankwise.catalog.record import Entry
from rankwise.catalog.tables import AdapterRow, MoveRow
from rankwise.errors import AdapterError, Problem
from rankwise.files import home

URL_VARIABLE = "RANKWISE_CATALOG_URL"
HEAD = "r0002"
"""The last of `migrations/versions`."""
VERSION_TABLE = "rankwise_catalogue_version"
BUSY_MILLISECONDS = 10_000
CONNECT_SECONDS = 10
WRITERS = 0x72616E6B
"""PostgreSQL's advisory lock that a writer holds; any number that others do not use."""

Key = tuple[str, str]
"""Shelf and digest."""


@dataclass(frozen=True)
class Indexed:
    """What the index holds of this home."""

    entries: tuple[Entry, ...]
    moves: Mapping[str, tuple[Move, ...]]
    """Shelf -> all moves of its production alias; without shelves whose alias never moved."""


def index_file() -> Path:
    return home() / "catalogue.sqlite"


def read() -> Indexed | None:
    """All of the index; None if it is missing, torn or of another version.

    Raises AdapterError if the database of RANKWISE_CATALOG_URL cannot be used.
    """
    url = _url()
    if _is_file(url) and not index_file().is_file():
        return None
    try:
        with _session(url) as session:
            if _version(session) != HEAD:
                return None
            mine = _whose(url)
            entries = tuple(_entry(row) for row in session.scalars(select(AdapterRow).filter_by(home=mine)))
            moves: dict[str, tuple[Move, ...]] = {}
            for row in session.scalars(select(MoveRow).filter_by(home=mine).order_by(MoveRow.shelf, MoveRow.number)):
                moves[row.shelf] = (*moves.get(row.shelf, ()), _move(row))
            return Indexed(entries, moves)
    except (DatabaseError, TypeError, ValueError) as fault:
        if isinstance(fault, AdapterError):
            raise
        return None


def update(added: Iterable[Entry], gone: Collection[Key], moves: Mapping[str, tuple[Move, ...]]) -> None:
    """Put `added` into the index, take `gone` out, and let `moves` be all there are, in one transaction.

    Call with the catalogue's lock held.
    """
    url = _url()
    _prepare(url)
    with _session(url) as session:
        _one_writer(session)
        mine = _whose(url)
        for shelf, digest in gone:
            session.execute(delete(AdapterRow).filter_by(home=mine, shelf=shelf, digest=digest))
        for entry in added:
            session.merge(_row(entry, mine))
        session.execute(delete(MoveRow).filter_by(home=mine))
        for shelf, made in moves.items():
            session.add_all(_move_row(move, mine, shelf, number) for number, move in enumerate(made))


def clear() -> None:
    """Forget all adapters of this home. Call with the catalogue's lock held."""
    url = _url()
    if _is_file(url):
        _remove_file()
    _prepare(url)
    with _session(url) as session:
        _one_writer(session)
        for table in (AdapterRow, MoveRow):
            session.execute(delete(table).filter_by(home=_whose(url)))


def _row(entry: Entry, whose: str) -> AdapterRow:
    columns = {key: value for key, value in vars(entry).items() if key in AdapterRow.__table__.columns}
    return AdapterRow(home=whose, **columns)


def _entry(row: AdapterRow) -> Entry:
    columns = {column.key: getattr(row, column.key) for column in AdapterRow.__table__.columns}
    del columns["home"]
    return Entry(path=home() / "adapters" / row.shelf / row.digest, **columns)


def _move_row(move: Move, whose: str, shelf: str, number: int) -> MoveRow:
    return MoveRow(home=whose, shelf=shelf, number=number, **vars(move))


def _move(row: MoveRow) -> Move:
    return Move.model_validate({name: getattr(row, name) for name in Move.model_fields})


def _prepare(url: URL) -> None:
    """Bring the tables to HEAD. A file that cannot be brought there is thrown away first; a database is left alone."""
    try:
        with _session(url) as session:
            if _version(session) != HEAD:
                _migrate(session)
            for table in (AdapterRow, MoveRow):
                session.execute(select(table).limit(1))
    except (DatabaseError, AdapterError):
        if not _is_file(url):
            raise
        _remove_file()
        with _session(url) as session:
            _migrate(session)


def _migrate(session: Session) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    _one_writer(session)
    config = Config()
    config.set_main_option("script_location", "rankwise.catalog:migrations")
    config.attributes["connection"] = session.connection()
    try:
        command.upgrade(config, HEAD)
    except CommandError as fault:
        raise _unusable(
            f"its tables are of another release ({fault}); use that release, or an empty database"
        ) from None


def _version(session: Session) -> str | None:
    if not inspect(session.connection()).has_table(VERSION_TABLE):
        return None
    version: str | None = session.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
    return version


def _one_writer(session: Session) -> None:
    """Writers on other machines hold other lock files; in PostgreSQL they wait for each other here."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITERS})


@contextmanager
def _session(url: URL) -> Iterator[Session]:
    """A session in a transaction, committed at the end; in SQLite readers never wait for a writer (WAL)."""
    if _is_file(url):
        index_file().parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, poolclass=NullPool)
        event.listen(engine, "connect", _configure)
    else:
        engine = _server(url)
    try:
        with Session(engine) as session, session.begin():
            yield session
    except DBAPIError as fault:
        if _is_file(url):
            raise
        reason = " ".join(str(fault.orig).split())
        raise _unusable(f"PostgreSQL says: {reason}; mend that, or unset {URL_VARIABLE}") from None


def _server(url: URL) -> Engine:
    try:
        return create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_SECONDS})
    except ImportError:
        raise _unusable("psycopg is not installed; run: pip install 'rankwise[postgres]'") from None


def _configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


def _url() -> URL:
    """Where the index is."""
    given = os.environ.get(URL_VARIABLE)
    if not given:
        return URL.create("sqlite", database=str(index_file()))
    try:
        url = make_url(given)
    except ArgumentError:
        raise _unusable("it is no URL; expected postgresql://USER@HOST/DATABASE") from None
    if url.get_backend_name() != "postgresql":
        raise _unusable(f"got a database of kind {url.get_backend_name()}, expected postgresql://USER@HOST/DATABASE")
    return url.set(drivername="postgresql+psycopg")


def _is_file(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _whose(url: URL) -> str:
    return "" if _is_file(url) else str(home())


def _remove_file() -> None:
    for ending in ("", "-wal", "-shm", "-journal"):
        index_file().with_name(index_file().name + ending).unlink(missing_ok=True)


def _unusable(message: str) -> AdapterError:
    """Without the URL itself, which may hold a password."""
    return AdapterError(problems=[Problem("error", "catalogue-unusable", URL_VARIABLE, message)])
