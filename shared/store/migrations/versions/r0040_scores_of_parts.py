"""Parts keep the score that decides them"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("parts", sa.Column("score", sa.Double(), nullable=True))
    op.add_column("parts", sa.Column("held", sa.SmallInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("parts", "held")
    op.drop_column("parts", "score")
