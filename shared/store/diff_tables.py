"""The table of counted diffs; `shared.store.tables` names it with the others."""

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from shared.contract.reruns import DiffCount
from shared.store.base import Base, Id


class DiffCounts(Base):
    """How many items of the batches `a` and `b` (the smaller id first) have which outcomes; None until it is counted.

    `state` names runs and revisions of both: other ones need another count.
    """

    __tablename__ = "diff_counts"

    a: Mapped[str] = mapped_column(Id, primary_key=True)
    b: Mapped[str] = mapped_column(Id, primary_key=True, index=True)
    state: Mapped[str] = mapped_column(String(64))
    counts: Mapped[list[DiffCount] | None] = mapped_column(JSON(none_as_null=True))

    __table_args__ = ({"sqlite_with_rowid": False},)
