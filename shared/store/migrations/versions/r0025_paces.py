"""Batches: the marks of their ETA, when a retry began, and indexes for every filter of their list"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_batches_tenant": ["tenant", "origin", "id"],
    "ix_batches_finished": ["tenant", "origin", "finished_at"],
    "ix_batches_status": ["tenant", "origin", "status", "id"],
}


def upgrade() -> None:
    with op.batch_alter_table("batches") as batch_op:
        for name in ("retried_at", "pace_at", "mark_at"):
            batch_op.add_column(sa.Column(name, sa.Double(), nullable=True))
        for name in ("pace_done", "mark_done"):
            batch_op.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.drop_index("ix_batches_tenant", "batches")
    for name, columns in _INDEXES.items():
        op.create_index(name, "batches", columns)


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(name, "batches")
    op.create_index("ix_batches_tenant", "batches", ["tenant", "id"])
    with op.batch_alter_table("batches") as batch_op:
        for name in ("retried_at", "pace_at", "mark_at", "pace_done", "mark_done"):
            batch_op.drop_column(name)
