"""Batches and their events: the seconds between an end and the retry after it"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("batches", "batch_events"):
        with op.batch_alter_table(table) as batch_op:
            batch_op.add_column(sa.Column("idle_s", sa.Double(), nullable=False, server_default="0"))


def downgrade() -> None:
    for table in ("batches", "batch_events"):
        with op.batch_alter_table(table) as batch_op:
            batch_op.drop_column("idle_s")
