"""The tables of the order by score of large batches; `shared.store.tables` names them with the others."""

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from shared.store.base import Base, Id, Word


class ScoreBlock(Base):
    """Items of an ended batch in the order of their scores, the highest first: some thousand of one kind.

    `kind` is `decided` or `held` (by the guard), or the status of items without a score. `scores` and `places` are the
    items' scores and numbers as little-endian doubles and 32-bit integers. It holds for one run of the batch.
    """

    __tablename__ = "score_blocks"

    batch_id: Mapped[str] = mapped_column(Id, primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(Word, primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    lowest: Mapped[float]
    scores: Mapped[bytes] = mapped_column(LargeBinary)
    places: Mapped[bytes] = mapped_column(LargeBinary)


class OrderAsked(Base):
    """A large batch that has ended, whose items the sweep has to put in the order of their scores."""

    __tablename__ = "orders_asked"

    batch_id: Mapped[str] = mapped_column(Id, primary_key=True)

    __table_args__ = ({"sqlite_with_rowid": False},)
