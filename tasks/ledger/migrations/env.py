"""How Alembic reaches the ledger: through the connection that tasks.ledger opened."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
