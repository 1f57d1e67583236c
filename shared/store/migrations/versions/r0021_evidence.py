"""Evidence of a verdict: raw score, band and guard's value of an item, and the judges: models as workers loaded them"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_COLUMNS: dict[str, Any] = {
    "raw_score": sa.Double(),
    "review_low": sa.Double(),
    "review_high": sa.Double(),
    "unfamiliarity": sa.Double(),
    "judge_id": sa.Integer(),
}


def upgrade() -> None:
    for name, kind in _COLUMNS.items():  # plain ADD COLUMN: SQLite would copy the whole table in a batch
        op.add_column("items", sa.Column(name, kind, nullable=True))
    op.create_table(
        "judges",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("worker", sa.String(40), nullable=False),
        sa.Column("device", sa.String(200), nullable=False),
        sa.Column("engine", sa.String(64), nullable=False),
        sa.Column("model_sha256", sa.String(64), nullable=False),
        sa.Column("preprocessing_sha256", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.drop_table("judges")
    for name in _COLUMNS:
        op.drop_column("items", name)
