"""Tenants share a lane: a chunk has a place in the line of its tenant, and a claim is a turn of its tenant"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_NEW = (
    sa.Column("tenant", sa.String(length=64), nullable=True),
    sa.Column("place", sa.BigInteger(), nullable=True),
    sa.Column("turn_began", sa.BigInteger(), nullable=True),
    sa.Column("turn_ended", sa.BigInteger(), nullable=True),
)


def upgrade() -> None:
    with op.batch_alter_table("chunks", schema=None) as batch_op:
        for column in _NEW:
            batch_op.add_column(column._copy())
    # Each waiting batch stands at the head of its line, its chunks in their order.
    op.execute(
        "UPDATE chunks SET place = last_seq + 1,"
        " tenant = (SELECT batches.tenant FROM batches WHERE batches.id = chunks.batch_id)"
    )
    with op.batch_alter_table("chunks", schema=None) as batch_op:
        batch_op.alter_column("tenant", existing_type=sa.String(length=64), nullable=False)
        batch_op.alter_column("place", existing_type=sa.BigInteger(), nullable=False)
    queued = sa.text("status = 'queued'")
    op.create_index(
        "ix_chunks_line",
        "chunks",
        ["lane", "tenant", "place", "id"],
        sqlite_where=queued,
        postgresql_where=queued,
    )
    op.create_index("ix_chunks_turn_ended", "chunks", ["lane", "tenant", "turn_ended"])
    op.create_index("ix_chunks_turn_began", "chunks", ["lane", "turn_began"])


def downgrade() -> None:
    for name in ("line", "turn_ended", "turn_began"):
        op.drop_index(f"ix_chunks_{name}", "chunks")
    with op.batch_alter_table("chunks", schema=None) as batch_op:
        for column in _NEW:
            batch_op.drop_column(column.name)
