"""Events of batches; a batch that has ended gets the event of its end"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None
_COUNTS = (
    "total",
    "queued",
    "processing",
    "succeeded",
    "failed",
    "cancelled",
    "expired",
    "defect",
    "no_defect",
    "review",
    "unfamiliar",
    "parts",
    "defect_parts",
    "no_defect_parts",
    "review_parts",
)
_TIMES = ("started_at", "finished_at", "deadline_at", "retain_until", "upload_lease_until")


def upgrade() -> None:
    op.create_table(
        "batch_events",
        sa.Column("batch_id", sa.String(40), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in _COUNTS),
        *(sa.Column(name, sa.Double(), nullable=True) for name in _TIMES),
        sa.Column("blocked", sa.JSON(), nullable=True),
        sa.Column("warnings", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"]),
        sa.PrimaryKeyConstraint("batch_id", "seq"),
        sqlite_with_rowid=False,
    )
    moved = ", ".join(("status", "outcome", *_COUNTS, *_TIMES, "blocked"))
    op.execute(
        f"INSERT INTO batch_events (batch_id, seq, type, at, {moved}, warnings)"  # noqa: S608 - names of columns
        f" SELECT id, version, 'batch.' || status, finished_at, {moved}, json_array_length(warnings)"
        " FROM batches WHERE finished_at IS NOT NULL"
    )


def downgrade() -> None:
    op.drop_table("batch_events")
