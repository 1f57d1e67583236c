"""The tables of rescoring; `shared.store.tables` names them with the others."""

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from shared.store.base import Base, Id
from shared.store.documents import VerdictCount


class Rescoring(Base):
    """A change of a batch's operating point after its end. A row is never changed.

    `items` and `parts` are the changes of their verdicts, each as [verdict before, verdict after, how many].
    """

    __tablename__ = "rescorings"

    batch_id: Mapped[str] = mapped_column(Id, primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[float]
    key_id: Mapped[str | None] = mapped_column(String(40))
    old_threshold: Mapped[float]
    old_low: Mapped[float]
    old_high: Mapped[float]
    threshold: Mapped[float]
    review_low: Mapped[float]
    review_high: Mapped[float]
    items: Mapped[list[VerdictCount]] = mapped_column(JSON)
    parts: Mapped[list[VerdictCount]] = mapped_column(JSON)

    __table_args__ = ({"sqlite_with_rowid": False},)
