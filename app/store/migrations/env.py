"""Run by alembic. The connection comes from app.store.database, already in a transaction under the lock."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
