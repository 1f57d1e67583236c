"""A batch has a name; no open batch has a threshold outside its review band"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.add_column(sa.Column("name", sa.String(length=200), nullable=True))
    # Workers refuse an operating point whose parts do not fit. A batch accepted before that rule gets a wider band:
    # more of its items go to a person, none gets another verdict unseen.
    op.execute("UPDATE batches SET review_low = threshold WHERE threshold < review_low")
    op.execute("UPDATE batches SET review_high = threshold WHERE threshold > review_high")


def downgrade() -> None:
    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.drop_column("name")
