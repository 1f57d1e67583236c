"""Sessions of the pages are rows, and a key names the key that replaced it"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("key_id", sa.String(40), sa.ForeignKey("api_keys.id"), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
    )
    op.create_index("ix_sessions_key_id", "sessions", ["key_id"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    with op.batch_alter_table("api_keys") as batch_op:
        batch_op.add_column(sa.Column("replaced_by", sa.String(40), nullable=True))
    # It signed the cookies of older releases. No code reads it any more, so that a leaked copy opens nothing.
    op.execute("DELETE FROM service_secrets WHERE name = 'session'")


def downgrade() -> None:
    with op.batch_alter_table("api_keys") as batch_op:
        batch_op.drop_column("replaced_by")
    op.drop_table("sessions")
