"""Run by Alembic, never imported: gives it the tables and a connection.

`migrations.upgrade` brings a connection along; a developer's `alembic` command gets the catalogue of the settings.
"""

import os

from alembic import context
from sqlalchemy import Connection

from migrations import migrating
from recommender.settings import Settings
from recommender.tables import Base


def _run(connection: Connection) -> None:
    # SQLite can undo a change of tables, but Alembic has to be told; it cannot alter most of one, hence the batches.
    context.configure(
        connection=connection, target_metadata=Base.metadata, render_as_batch=True, transactional_ddl=True
    )
    with context.begin_transaction():
        context.run_migrations()


brought = context.config.attributes.get("connection")
if brought is not None:
    _run(brought)
else:
    with migrating(Settings.from_env(os.environ).database_url) as opened:
        _run(opened)
