"""The indexes of turns hold claimed chunks alone"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_COLUMNS = {"turn_ended": ["lane", "tenant", "turn_ended"], "turn_began": ["lane", "turn_began"]}


def upgrade() -> None:
    for name, columns in _COLUMNS.items():
        op.drop_index(f"ix_chunks_{name}", "chunks")
        claimed = sa.text(f"{name} IS NOT NULL")
        op.create_index(
            f"ix_chunks_{name}", "chunks", columns, sqlite_where=claimed, postgresql_where=claimed
        )


def downgrade() -> None:
    for name, columns in _COLUMNS.items():
        op.drop_index(f"ix_chunks_{name}", "chunks")
        op.create_index(f"ix_chunks_{name}", "chunks", columns)
