"""The guessed kind of an item's defect, and the escape rate that a model promises, for its batches too"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("items", sa.Column("kind", sa.String(64), nullable=True))
    for table in ("model_versions", "batches"):
        op.add_column(table, sa.Column("promised", sa.Double(), nullable=True))


def downgrade() -> None:
    for table in ("batches", "model_versions"):
        op.drop_column(table, "promised")
    op.drop_column("items", "kind")
