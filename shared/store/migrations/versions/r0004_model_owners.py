"""Models have an owner and a trial; a batch says why no worker can serve it"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The first revision gave the constraint no name; PostgreSQL and batch mode on SQLite need one to drop it.
_NAMES = {"uq": "%(table_name)s_%(column_0_name)s_key"}


def upgrade() -> None:
    # The versions of an older installation served every tenant: they are the installation's, and ready.
    with op.batch_alter_table("model_versions", naming_convention=_NAMES) as batch_op:
        batch_op.add_column(sa.Column("tenant", sa.String(64), nullable=False, server_default="*"))
        batch_op.add_column(sa.Column("status", sa.String(16), nullable=False, server_default="ready"))
        batch_op.add_column(sa.Column("reason", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("trials", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("trial_due_at", sa.Double(), nullable=True))
        batch_op.drop_constraint("model_versions_sha256_key", type_="unique")
        batch_op.create_unique_constraint("uq_model_versions_owner", ["tenant", "sha256"])
    with op.batch_alter_table("model_activations") as batch_op:
        batch_op.add_column(sa.Column("tenant", sa.String(64), nullable=False, server_default="*"))
    op.create_index("ix_model_activations_tenant", "model_activations", ["tenant", "id"])
    with op.batch_alter_table("chunks") as batch_op:
        batch_op.add_column(sa.Column("hand_backs", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("batches") as batch_op:
        batch_op.add_column(sa.Column("blocked", sa.JSON(), nullable=True))
    _first_key_is_the_operators()


def _first_key_is_the_operators() -> None:
    """`gonogo up` names its first key `admin` of the tenant `default`; a new one has these scopes from the start."""
    keys = sa.table(
        "api_keys", sa.column("id"), sa.column("tenant"), sa.column("name"), sa.column("scopes", sa.JSON)
    )
    named = (keys.c.tenant == "default", keys.c.name == "admin")
    row = op.get_bind().execute(sa.select(keys.c.id, keys.c.scopes).where(*named).order_by(keys.c.id)).first()
    if row is not None and "admin" in row.scopes:
        scopes = sorted({*row.scopes, "operator", "metrics"})
        op.execute(sa.update(keys).where(keys.c.id == row.id).values(scopes=scopes))


def downgrade() -> None:
    with op.batch_alter_table("batches") as batch_op:
        batch_op.drop_column("blocked")
    with op.batch_alter_table("chunks") as batch_op:
        batch_op.drop_column("hand_backs")
    op.drop_index("ix_model_activations_tenant", "model_activations")
    with op.batch_alter_table("model_activations") as batch_op:
        batch_op.drop_column("tenant")
    with op.batch_alter_table("model_versions") as batch_op:
        batch_op.drop_constraint("uq_model_versions_owner", type_="unique")
        for name in ("trial_due_at", "trials", "reason", "status", "tenant"):
            batch_op.drop_column(name)
        batch_op.create_unique_constraint("model_versions_sha256_key", ["sha256"])
