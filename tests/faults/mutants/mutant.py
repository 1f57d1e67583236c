"""A mechanism that a row proves, and the tests that must turn red without it."""

from collections.abc import Callable
from typing import Any, NamedTuple

_WALKS = "tests/integration/lifecycle/test_walks.py"


class Mutant(NamedTuple):
    """`take_out` runs at the start of each process of the tests; `tests` is the expression that picks them."""

    take_out: Callable[[], None]
    row: int
    tests: str
    where: tuple[str, ...] = ("tests/faults",)


def of_lifecycle(take_out: Callable[[], None], row: int, tests: str) -> Mutant:
    """A mechanism that the random walks may meet, too."""
    return Mutant(take_out, row, f"({tests} or no_walk) and sqlite", ("tests/faults", _WALKS))


def put(owner: Any, **parts: Any) -> None:
    """Put other parts into a module or a class."""
    for name, part in parts.items():
        setattr(owner, name, part)
