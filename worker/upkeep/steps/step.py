"""The interface of a step; each module of this folder is one."""

from collections.abc import Sequence
from typing import Any, Protocol

from worker.upkeep.site import Site


class Look(Protocol):
    """A kind of damage. `NAME` and `ABOUT` are for doctor."""

    NAME: str
    ABOUT: str

    def find(self, site: Site, most: int) -> Sequence[Any]:
        """At most `most` places of such damage. Changes nothing."""


class Step(Look, Protocol):
    """A kind of damage that can be mended here."""

    def mend(self, site: Site, found: Sequence[Any]) -> None:
        """Mend what `find` found; it may be mended already."""
