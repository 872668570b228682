"""The tables of the catalogue's index. Whoever changes them adds a migration."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    type_annotation_map = {int: BigInteger, dict[str, Any]: JSON}  # noqa: RUF012  # as SQLAlchemy declares it


class AdapterRow(Base):
    """An `Entry` without its path, which follows from home, shelf and digest."""

    __tablename__ = "adapters"

    home: Mapped[str] = mapped_column(primary_key=True)
    """Whose folders these are, where several share a database; empty in a file, which moves with its home."""
    shelf: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    domain: Mapped[str | None]
    method: Mapped[str]
    task: Mapped[str]
    base: Mapped[str]
    base_weights: Mapped[str] = mapped_column(index=True)
    r: Mapped[int]
    parameters: Mapped[int]
    bytes: Mapped[int]
    created: Mapped[str]
    parent: Mapped[str | None]
    metrics: Mapped[dict[str, Any]]


class MoveRow(Base):
    """A `Move` of a shelf's production alias."""

    __tablename__ = "moves"

    home: Mapped[str] = mapped_column(primary_key=True)
    shelf: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 0, in the order they were made."""
    kind: Mapped[str]
    digest: Mapped[str | None]
    at: Mapped[str]
    by: Mapped[str]
    forced: Mapped[str | None]
    figures: Mapped[dict[str, Any]]
