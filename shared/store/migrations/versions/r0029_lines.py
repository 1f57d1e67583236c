"""A delivery that waits for an endpoint waits in the line of that endpoint; others leave their old lines as they end"""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_TO_ENDPOINTS = """
    UPDATE webhook_deliveries SET line = line || '\t' || endpoint_id
    WHERE endpoint_id <> '' AND status IN ('pending', 'held')
"""


def upgrade() -> None:
    op.execute(_TO_ENDPOINTS)


def downgrade() -> None:
    """Nothing to undo: the former release takes a line as it is."""
