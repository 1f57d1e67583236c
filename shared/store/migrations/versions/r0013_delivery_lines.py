"""Deliveries wait in a line for each receiver's host and tenant"""

from urllib.parse import urlsplit

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("webhook_deliveries", schema=None) as batch_op:
        batch_op.add_column(sa.Column("line", sa.Text(), nullable=False, server_default=""))
    deliveries = sa.table(
        "webhook_deliveries", sa.column("id"), sa.column("tenant"), sa.column("url"), sa.column("line")
    )
    for row in op.get_bind().execute(sa.select(deliveries.c.id, deliveries.c.tenant, deliveries.c.url)).all():
        line = f"{urlsplit(row.url).netloc.lower()} {row.tenant}"
        op.execute(sa.update(deliveries).where(deliveries.c.id == row.id).values(line=line))
    with op.batch_alter_table("webhook_deliveries", schema=None) as batch_op:
        batch_op.alter_column("line", existing_type=sa.Text(), server_default=None)
    pending = sa.text("status = 'pending'")
    op.create_index(
        "ix_deliveries_line",
        "webhook_deliveries",
        ["line", "due_at"],
        sqlite_where=pending,
        postgresql_where=pending,
    )


def downgrade() -> None:
    op.drop_index("ix_deliveries_line", "webhook_deliveries")
    with op.batch_alter_table("webhook_deliveries", schema=None) as batch_op:
        batch_op.drop_column("line")
