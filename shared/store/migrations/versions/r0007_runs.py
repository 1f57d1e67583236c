"""A retried batch ends again, with an event of its own"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# The first revision gave the constraint no name; PostgreSQL and batch mode on SQLite need one to drop it. PostgreSQL
# makes its name of all columns, and SQLite takes the name that the convention gives.
_NAMES = {"uq": "%(table_name)s_%(column_0_N_name)s_key"}
_OLD = "webhook_deliveries_batch_id_event_url_key"


def upgrade() -> None:
    with op.batch_alter_table("batches") as batch_op:
        batch_op.add_column(sa.Column("run", sa.Integer(), nullable=False, server_default="1"))
    with op.batch_alter_table("webhook_deliveries", naming_convention=_NAMES) as batch_op:
        batch_op.add_column(sa.Column("run", sa.Integer(), nullable=False, server_default="1"))
        batch_op.drop_constraint(_OLD, type_="unique")
        batch_op.create_unique_constraint("uq_webhook_deliveries_event", ["batch_id", "event", "url", "run"])


def downgrade() -> None:
    with op.batch_alter_table("webhook_deliveries") as batch_op:
        batch_op.drop_constraint("uq_webhook_deliveries_event", type_="unique")
        batch_op.drop_column("run")
        batch_op.create_unique_constraint(_OLD, ["batch_id", "event", "url"])
    with op.batch_alter_table("batches") as batch_op:
        batch_op.drop_column("run")
