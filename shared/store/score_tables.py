"""The table of histograms; `shared.store.tables` names it with the others."""

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from shared.store.base import Base, Id
from shared.store.documents import Bins


class ScoreBins(Base):
    """The histogram of an ended batch's scores, kept from its first reading. It holds for one run of the batch."""

    __tablename__ = "score_bins"

    batch_id: Mapped[str] = mapped_column(Id, primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    bins: Mapped[Bins] = mapped_column(JSON)

    __table_args__ = ({"sqlite_with_rowid": False},)
