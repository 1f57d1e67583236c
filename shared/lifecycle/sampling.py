"""The audit's sample: an item is in it by the hash of its batch's id and its place, so that it is known without a row.

The hash is `((a * seq + b) mod P) ** 5 mod P` with P = 2**31 - 1, and a and b from SHA-256 of the batch's id. Both
databases compute it in integers of 64 bits. The fifth power permutes the numbers below P, so that each place has the
same chance, and it leaves no pattern that could meet the order of views in a batch.
"""

import hashlib
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, bindparam, cast

from shared.store.tables import Item

P = 2**31 - 1


class Seed(NamedTuple):
    """The two numbers that a batch's id gives."""

    a: int
    b: int


def seed(batch_id: str, use: str = "audit") -> Seed:
    """The numbers of a batch for one use; samples of different uses are independent."""
    digest = hashlib.sha256(f"{use}:{batch_id}".encode()).digest()
    return Seed(1 + int.from_bytes(digest[:8]) % (P - 1), int.from_bytes(digest[8:16]) % P)


def position(of: Seed, seq: int) -> int:
    """Where in 0..P-1 an item falls: it is in a sample of share s if this is below s * P."""
    return pow((of.a * seq + of.b) % P, 5, P)


def is_sampled(batch_id: str, seq: int, share: float, use: str = "audit") -> bool:
    """Whether an item is in the sample of this share."""
    return position(seed(batch_id, use), seq) < share * P


def position_of_item(use: str) -> ColumnElement[int]:
    """The position of an item as SQL, with the parameters `a_of_USE` and `b_of_USE`."""
    a, b = bindparam(f"a_of_{use}", type_=BigInteger), bindparam(f"b_of_{use}", type_=BigInteger)
    x: Any = (cast(Item.seq, BigInteger) * a + b) % P
    square: Any = x * x % P
    fourth: Any = square * square % P
    found: ColumnElement[int] = fourth * x % P
    return found


def parameters(batch_id: str, use: str) -> dict[str, int]:
    """The parameters of `position_of_item` for a batch."""
    of = seed(batch_id, use)
    return {f"a_of_{use}": of.a, f"b_of_{use}": of.b}
