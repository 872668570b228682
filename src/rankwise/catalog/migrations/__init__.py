"""How the index's tables came to be what they are, one file a step; Alembic runs them."""
