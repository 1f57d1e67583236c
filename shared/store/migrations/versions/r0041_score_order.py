"""Large batches are kept in the order of their scores"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "score_blocks",
        sa.Column("batch_id", sa.String(40), primary_key=True),
        sa.Column("run", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("lowest", sa.Double(), nullable=False),
        sa.Column("scores", sa.LargeBinary(), nullable=False),
        sa.Column("places", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "orders_asked", sa.Column("batch_id", sa.String(40), primary_key=True), sqlite_with_rowid=False
    )


def downgrade() -> None:
    op.drop_table("orders_asked")
    op.drop_table("score_blocks")
