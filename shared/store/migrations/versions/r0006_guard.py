"""Reasons of a verdict, how many images were unfamiliar, and whether a model has a guard"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _unguarded() -> sa.Column[bool]:
    """No model of before this revision has a guard."""
    return sa.Column("guarded", sa.Boolean(), nullable=False, server_default=sa.false())


def upgrade() -> None:
    with op.batch_alter_table("model_versions", schema=None) as batch_op:
        batch_op.add_column(_unguarded())
    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.add_column(_unguarded())
        batch_op.add_column(sa.Column("unfamiliar", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("items", schema=None) as batch_op:
        batch_op.add_column(sa.Column("reasons", sa.String(length=64), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("items", schema=None) as batch_op:
        batch_op.drop_column("reasons")
    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.drop_column("unfamiliar")
        batch_op.drop_column("guarded")
    with op.batch_alter_table("model_versions", schema=None) as batch_op:
        batch_op.drop_column("guarded")
