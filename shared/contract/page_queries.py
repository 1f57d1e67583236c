"""The query parameters of the pages. They are as closed as those of the API."""

from typing import Annotated

from annotated_types import Len, MaxLen, MinLen
from typing_extensions import TypedDict

from shared.contract.fields import About, OneOf, closed
from shared.contract.queries import Cursor
from shared.contract.reruns import OUTCOMES
from shared.contract.reviews import QUEUED_SOURCES
from shared.contract.states import ItemStatus, Verdict

MOST_STEPS = 20  # that a person can take back one after the other; they are in the address of the page
Steps = Annotated[list[Annotated[str, MinLen(1), MaxLen(40)]], Len(1, MOST_STEPS)]


@closed
class HomePageQuery(TypedDict, total=False):
    """The page of all batches."""

    cursor: Cursor


@closed
class SignInQuery(TypedDict, total=False):
    """The form that takes a key."""

    next: Annotated[str, MaxLen(8000), About("the page to show afterwards")]


@closed
class ItemPageQuery(TypedDict, total=False):
    """The page of one item: the verdicts among which it goes on to the previous and the next one."""

    verdict: Annotated[list[Annotated[str, OneOf(Verdict)]], Len(1)]


@closed
class ModelPageQuery(TypedDict, total=False):
    """The page of a model version: a version to compare it with, and the switch to ask for once more."""

    other: Annotated[str, MinLen(1), MaxLen(40)]
    confirm: Annotated[str, OneOf(("activate", "rollback"))]


@closed
class ReviewPageQuery(TypedDict, total=False):
    """The page of one review: which items follow, and those whose verdicts can be taken back, the newest first."""

    batch_id: Annotated[str, MaxLen(40)]
    line: Annotated[str, MaxLen(200)]
    source: Annotated[str, OneOf(QUEUED_SOURCES)]
    last: Steps


@closed
class ReviewStartQuery(ReviewPageQuery, total=False):
    """The page from which reviews begin: `empty` says that no item is left."""

    empty: Annotated[str, OneOf(("1",))]


@closed
class BatchPageQuery(TypedDict, total=False):
    """The page of one batch."""

    status: Annotated[list[Annotated[str, OneOf(ItemStatus)]], Len(1)]
    verdict: Annotated[list[Annotated[str, OneOf(Verdict)]], Len(1)]
    cursor: Cursor


@closed
class DiffPageQuery(TypedDict, total=False):
    """The page that compares a batch with its rerun: images of this outcome in the one and in the other."""

    before: Annotated[str, OneOf(OUTCOMES)]
    after: Annotated[str, OneOf(OUTCOMES)]
    cursor: Cursor


@closed
class DriftPageQuery(TypedDict, total=False):
    """The drift of a model version on its lines."""

    line: Annotated[str, MinLen(1), MaxLen(200)]
