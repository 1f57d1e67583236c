"""Windows of images in which drift was looked for; room for a production line in the label of a tally"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "drift_windows",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("model_id", sa.String(40), nullable=False),
        sa.Column("line", sa.String(200), nullable=False),
        sa.Column("began_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("distances", sa.JSON(), nullable=False),
        sa.Column("limit", sa.Double(), nullable=False),
        sa.Column("defect_share", sa.Double(), nullable=False),
        sa.Column("drifted", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_drift_windows_of", "drift_windows", ["tenant", "model_id", "line", "id"])
    op.create_index("ix_drift_windows_tenant", "drift_windows", ["tenant", "id"])
    op.create_index("ix_drift_windows_ended", "drift_windows", ["ended_at"])
    with op.batch_alter_table("tallies") as batch_op:
        batch_op.alter_column("label", existing_type=sa.String(200), type_=sa.String(320))


def downgrade() -> None:
    op.drop_table("drift_windows")
    op.execute("DELETE FROM tallies WHERE name = 'drift'")
    with op.batch_alter_table("tallies") as batch_op:
        batch_op.alter_column("label", existing_type=sa.String(320), type_=sa.String(200))
