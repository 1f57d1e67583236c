"""Shadows: candidates that score a share of the traffic"""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None
_RUNNING, _OPEN = sa.text("stopped_at IS NULL"), sa.text("next_seq >= 0")


def upgrade() -> None:
    op.create_table(
        "shadows",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("model_id", sa.String(40), nullable=False),
        sa.Column("candidate_id", sa.String(40), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("started_by", sa.String(40), nullable=True),
        sa.Column("stopped_at", sa.Double(), nullable=True),
        sa.Column("stopped_by", sa.String(40), nullable=True),
        sa.Column("seen_until", sa.Double(), nullable=False),
        sa.Column("scored", sa.Integer(), nullable=False),
    )
    op.create_index("ix_shadows_tenant", "shadows", ["tenant", "id"])
    pair = ["tenant", "model_id", "candidate_id"]
    op.create_index(
        "ix_shadows_running", "shadows", pair, unique=True, sqlite_where=_RUNNING, postgresql_where=_RUNNING
    )
    op.create_table(
        "shadow_batches",
        sa.Column("shadow_id", sa.String(40), primary_key=True),
        sa.Column("batch_id", sa.String(40), primary_key=True),
        sa.Column("next_seq", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_shadow_batches_batch", "shadow_batches", ["batch_id"])
    order = ["batch_id", "shadow_id"]
    op.create_index(
        "ix_shadow_batches_open", "shadow_batches", order, sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_table(
        "shadow_scores",
        sa.Column("shadow_id", sa.String(40), primary_key=True),
        sa.Column("batch_id", sa.String(40), primary_key=True),
        sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_shadow_scores_batch", "shadow_scores", ["batch_id"])


def downgrade() -> None:
    for table in ("shadow_scores", "shadow_batches", "shadows"):
        op.drop_table(table)
