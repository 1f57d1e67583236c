"""Webhook endpoints, and deliveries that are owed to them"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None
_KEY = ["batch_id", "event", "subject", "url"]


def upgrade() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.String(200), nullable=True),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("filters", sa.JSON(), nullable=False),
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("secret", sa.String(128), nullable=False),
        sa.Column("old_secret", sa.String(128), nullable=True),
        sa.Column("old_secret_until", sa.Double(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.String(16), nullable=True),
        sa.Column("disabled_at", sa.Double(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", sa.Double(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("key", sa.String(255), nullable=True),
        sa.Column("fingerprint", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant", "key", name="uq_endpoints_key"),
    )
    op.create_index("ix_endpoints_tenant", "webhook_endpoints", ["tenant", "id"])
    with op.batch_alter_table("webhook_deliveries") as batch_op:
        batch_op.add_column(sa.Column("endpoint_id", sa.String(40), nullable=False, server_default=""))
        batch_op.drop_constraint("uq_deliveries_event", type_="unique")
        batch_op.create_unique_constraint("uq_deliveries_receiver", [*_KEY, "endpoint_id", "run"])
    of_endpoints = sa.text("endpoint_id <> ''")
    op.create_index(
        "ix_deliveries_endpoint",
        "webhook_deliveries",
        ["endpoint_id", "id"],
        sqlite_where=of_endpoints,
        postgresql_where=of_endpoints,
    )


def downgrade() -> None:
    theirs = "SELECT id FROM webhook_deliveries WHERE endpoint_id <> ''"
    op.execute(f"DELETE FROM webhook_attempts WHERE delivery_id IN ({theirs})")  # noqa: S608 - no value in it
    op.execute("DELETE FROM webhook_deliveries WHERE endpoint_id <> ''")
    op.drop_index("ix_deliveries_endpoint", "webhook_deliveries")
    with op.batch_alter_table("webhook_deliveries") as batch_op:
        batch_op.drop_constraint("uq_deliveries_receiver", type_="unique")
        batch_op.drop_column("endpoint_id")
        batch_op.create_unique_constraint("uq_deliveries_event", [*_KEY, "run"])
    op.drop_table("webhook_endpoints")
