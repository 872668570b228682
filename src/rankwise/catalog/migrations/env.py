"""What Alembic runs: the steps, on the connection that `catalog.index` hands over."""

from alembic import context

from rankwise.catalog.index import VERSION_TABLE
from rankwise.catalog.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, version_table=VERSION_TABLE
)
context.run_migrations()
