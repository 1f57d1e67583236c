"""The root of the tables, and the types that their columns share."""

from sqlalchemy import BigInteger, Integer, String
from sqlalchemy.orm import DeclarativeBase

# SQLite increments a primary key by itself only where its type is spelled INTEGER.
RowId = BigInteger().with_variant(Integer, "sqlite")
Id = String(40)
Word = String(16)


class Base(DeclarativeBase):
    """Root of the tables."""
