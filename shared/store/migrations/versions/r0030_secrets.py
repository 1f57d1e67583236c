"""An endpoint keeps every secret that is in its grace, and the key of its last rotation"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_COLUMNS = ("older_secrets", "rotation_key", "rotation_fingerprint")


def upgrade() -> None:
    older = sa.Column("older_secrets", sa.JSON(), nullable=False, server_default="[]")
    op.add_column("webhook_endpoints", older)
    op.add_column("webhook_endpoints", sa.Column("rotation_key", sa.String(255), nullable=True))
    op.add_column("webhook_endpoints", sa.Column("rotation_fingerprint", sa.String(64), nullable=True))


def downgrade() -> None:
    for name in _COLUMNS:
        op.drop_column("webhook_endpoints", name)
