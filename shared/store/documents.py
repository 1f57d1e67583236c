"""The documents of JSON columns. Blocked, BatchWarning and EndpointFilters are those of the contract."""

from typing import NotRequired, TypeAlias

from typing_extensions import TypedDict


class Webhook(TypedDict):
    """The receiver that a batch names. `events` is None where it wants those of the batch's end."""

    url: str
    secret: str
    events: list[str] | None


class Bins(TypedDict):
    """Items and parts in bins of their scores, each as [bin, decided, held], and parts in review at any threshold.

    `named_parts`: the ids of some decided parts, by bin. Bins that were kept before have none.
    """

    items: list[list[int]]
    parts: list[list[int]]
    review_parts: int
    named_parts: NotRequired[dict[str, list[str]]]


Distances: TypeAlias = dict[str, float]  # by measure of drift
Counts: TypeAlias = dict[str, list[int]]  # by measure of drift: images in each bin
# The verdict before, the verdict after, and how many. JSON makes a list of it.
VerdictCount: TypeAlias = tuple[str, str, int]
