"""The table of images that were judged before."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from shared.store.base import Base, Id


class KnownImage(Base):
    """An image that a model version has judged for a tenant, by the sha256 of its bytes: the item that has its score.

    `frame` is 0 where the bytes hold one image. The score stays with the item, and goes with it.
    """

    __tablename__ = "known_images"

    tenant: Mapped[str] = mapped_column(String(64), primary_key=True)
    model_id: Mapped[str] = mapped_column(Id, primary_key=True)
    content: Mapped[str] = mapped_column(String(64), primary_key=True)
    frame: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    batch_id: Mapped[str] = mapped_column(Id)
    seq: Mapped[int]

    __table_args__ = ({"sqlite_with_rowid": False},)
