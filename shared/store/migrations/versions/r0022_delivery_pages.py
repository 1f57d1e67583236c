"""Pages of a tenant's deliveries go by an index, the newest first"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_deliveries_tenant", "webhook_deliveries", ["tenant", "id"])
    op.drop_index("ix_webhook_deliveries_tenant", "webhook_deliveries")


def downgrade() -> None:
    op.create_index("ix_webhook_deliveries_tenant", "webhook_deliveries", ["tenant"])
    op.drop_index("ix_deliveries_tenant", "webhook_deliveries")
