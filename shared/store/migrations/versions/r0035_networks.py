"""The network of a judge: an artifact may hold a fast and a strong one"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("judges", sa.Column("network", sa.String(16), nullable=True))


def downgrade() -> None:
    op.drop_column("judges", "network")
