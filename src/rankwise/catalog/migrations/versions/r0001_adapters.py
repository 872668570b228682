"""The adapters. An index from before this step has no version, and is made again from the folders."""

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "adapters",
        sa.Column("home", sa.String, primary_key=True),
        sa.Column("shelf", sa.String, primary_key=True),
        sa.Column("digest", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("domain", sa.String),
        sa.Column("method", sa.String, nullable=False),
        sa.Column("task", sa.String, nullable=False),
        sa.Column("base", sa.String, nullable=False),
        sa.Column("base_weights", sa.String, nullable=False),
        sa.Column("r", sa.BigInteger, nullable=False),
        sa.Column("parameters", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("created", sa.String, nullable=False),
        sa.Column("parent", sa.String),
        sa.Column("metrics", sa.JSON, nullable=False),
    )
    op.create_index("ix_adapters_base_weights", "adapters", ["base_weights"])
