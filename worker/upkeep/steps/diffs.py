"""Diffs of large batches that a page has asked for, and that no request counted: the sweep counts them."""

from collections.abc import Sequence

from shared.lifecycle import diff_counts
from worker.upkeep.site import Site

NAME = "diffs"
ABOUT = "diffs of large batches that a page waits for: counted"


def find(site: Site, most: int) -> Sequence[tuple[str, str]]:
    with site.database.read() as connection:
        return diff_counts.asked(connection, most)


def mend(site: Site, found: Sequence[tuple[str, str]]) -> None:
    for a, b in found:
        diff_counts.count(site.database, a, b)
