"""Reviews: the queue of items that persons look at, their opinions, and how far the queue of a batch is made"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def _partial(name: str, table: str, columns: list[str], condition: str, in_sqlite: str = "") -> None:
    where, sqlite_where = sa.text(condition), sa.text(in_sqlite or condition)
    op.create_index(name, table, columns, sqlite_where=sqlite_where, postgresql_where=where)


def upgrade() -> None:
    op.create_table(
        "review_entries",
        sa.Column("batch_id", sa.String(40), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("line", sa.String(200), nullable=True),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("place", sa.Double(), nullable=False),
        sa.Column("rounds", sa.Integer(), nullable=False),
        sa.Column("given", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("holder", sa.String(80), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("verdict", sa.String(16), nullable=True),
        sa.Column("reviewed_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("batch_id", "seq"),
        sqlite_with_rowid=False,
    )
    item = ["batch_id", "seq"]
    _partial("ix_review_entries_line", "review_entries", ["tenant", "place", *item], "status = 'waiting'")
    _partial("ix_review_entries_done", "review_entries", ["tenant", "reviewed_at", *item], "status = 'done'")
    _partial("ix_review_entries_holder", "review_entries", ["holder"], "holder IS NOT NULL")
    op.create_table(
        "opinions",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("batch_id", sa.String(40), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("key_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("undone_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_opinions_item", "opinions", ["batch_id", "seq", "id"])
    op.create_index("ix_opinions_key", "opinions", ["key_id", "id"])
    op.add_column("batches", sa.Column("review_seq", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("batches", sa.Column("review_open", sa.Boolean(), nullable=False, server_default=sa.true()))
    _partial("ix_batches_review", "batches", ["tenant", "id"], "review_open", "review_open = 1")


def downgrade() -> None:
    op.drop_index("ix_batches_review", "batches")
    with op.batch_alter_table("batches") as batch_op:
        batch_op.drop_column("review_open")
        batch_op.drop_column("review_seq")
    op.drop_table("opinions")
    op.drop_table("review_entries")
