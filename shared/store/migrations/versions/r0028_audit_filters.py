"""Indexes for each filter of the audit trail"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_audit_entries_key": ["key_id", "id"],
    "ix_audit_entries_action": ["tenant", "action", "id"],
    "ix_audit_entries_at": ["tenant", "at"],
}


def upgrade() -> None:
    for name, columns in _INDEXES.items():
        op.create_index(name, "audit_entries", columns)


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(name, "audit_entries")
