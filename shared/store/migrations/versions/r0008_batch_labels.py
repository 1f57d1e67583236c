"""Lot, order, line, station and operator of a batch, each with an index for the list's filter"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None
LABELS = ("lot", "order", "line", "station", "operator")


def upgrade() -> None:
    with op.batch_alter_table("batches", schema=None) as batch_op:
        for label in LABELS:
            batch_op.add_column(sa.Column(label, sa.String(length=200), nullable=True))
    for label in LABELS:
        given = sa.text(f'"{label}" IS NOT NULL')
        op.create_index(
            f"ix_batches_{label}",
            "batches",
            ["tenant", label, "id"],
            sqlite_where=given,
            postgresql_where=given,
        )


def downgrade() -> None:
    for label in LABELS:
        op.drop_index(f"ix_batches_{label}", table_name="batches")
    with op.batch_alter_table("batches", schema=None) as batch_op:
        for label in LABELS:
            batch_op.drop_column(label)
