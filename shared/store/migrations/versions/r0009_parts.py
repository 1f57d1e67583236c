"""Parts: their rows, the rule and counters of the batch, part_id and view of an item, the subject of a delivery"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_COUNTERS = ("parts", "defect_parts", "no_defect_parts", "review_parts")


def upgrade() -> None:
    with op.batch_alter_table("batches") as batch_op:
        batch_op.add_column(
            sa.Column("part_rule", sa.String(16), nullable=False, server_default="any_defect")
        )
        batch_op.add_column(sa.Column("expected_views", sa.JSON(), nullable=True))
        for counter in _COUNTERS:
            batch_op.add_column(sa.Column(counter, sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("items") as batch_op:
        batch_op.add_column(sa.Column("part_id", sa.String(200), nullable=True))
        batch_op.add_column(sa.Column("view", sa.String(200), nullable=True))
    for name, column, unique in (("custom_id", "custom_id", True), ("part", "part_id", False)):
        given = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_items_{name}",
            "items",
            ["batch_id", column],
            unique=unique,
            sqlite_where=given,
            postgresql_where=given,
        )
    op.create_table(
        "parts",
        sa.Column("batch_id", sa.String(40), nullable=False),
        sa.Column("part_id", sa.String(200), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=True),
        sa.Column("reasons", sa.String(64), nullable=True),
        sa.Column("missing_views", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"]),
        sa.PrimaryKeyConstraint("batch_id", "part_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_parts_part_id", "parts", ["tenant", "part_id", "batch_id"])
    with op.batch_alter_table("webhook_deliveries") as batch_op:
        batch_op.add_column(sa.Column("subject", sa.String(200), nullable=False, server_default=""))
        batch_op.drop_constraint("uq_webhook_deliveries_event", type_="unique")
        batch_op.create_unique_constraint(
            "uq_deliveries_event", ["batch_id", "event", "subject", "url", "run"]
        )


def downgrade() -> None:
    of_parts = "SELECT id FROM webhook_deliveries WHERE subject <> ''"
    op.execute(f"DELETE FROM webhook_attempts WHERE delivery_id IN ({of_parts})")  # noqa: S608 - no value in it
    op.execute("DELETE FROM webhook_deliveries WHERE subject <> ''")
    with op.batch_alter_table("webhook_deliveries") as batch_op:
        batch_op.drop_constraint("uq_deliveries_event", type_="unique")
        batch_op.drop_column("subject")
        batch_op.create_unique_constraint("uq_webhook_deliveries_event", ["batch_id", "event", "url", "run"])
    op.drop_table("parts")
    op.drop_index("ix_items_part", table_name="items")
    op.drop_index("ix_items_custom_id", table_name="items")
    with op.batch_alter_table("items") as batch_op:
        batch_op.drop_column("view")
        batch_op.drop_column("part_id")
    with op.batch_alter_table("batches") as batch_op:
        for column in (*reversed(_COUNTERS), "expected_views", "part_rule"):
            batch_op.drop_column(column)
