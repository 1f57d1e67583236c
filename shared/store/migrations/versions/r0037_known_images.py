"""Images that were judged before, and the item from which a score was taken"""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None
_UNKNOWN = sa.text("finished_at IS NOT NULL AND known_seq < total")


def upgrade() -> None:
    op.create_table(
        "known_images",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("model_id", sa.String(40), primary_key=True),
        sa.Column("content", sa.String(64), primary_key=True),
        sa.Column("frame", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("batch_id", sa.String(40), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.add_column("items", sa.Column("cached_from", sa.String(40), nullable=True))
    op.add_column("batches", sa.Column("known_seq", sa.Integer(), nullable=False, server_default="0"))
    # Batches of before stay out of the cache: millions of images may be kept.
    op.execute("UPDATE batches SET known_seq = total")
    op.create_index("ix_batches_unknown", "batches", ["id"], sqlite_where=_UNKNOWN, postgresql_where=_UNKNOWN)


def downgrade() -> None:
    op.drop_table("known_images")
    op.drop_index("ix_batches_unknown", "batches")
    with op.batch_alter_table("batches") as batch_op:
        batch_op.drop_column("known_seq")
    op.drop_column("items", "cached_from")
