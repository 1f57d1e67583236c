"""A rerun of a batch with another model version, and the diff of two such batches."""

from typing import Annotated, Literal, NotRequired

from annotated_types import Ge, Le, MaxLen, MinLen
from typing_extensions import TypedDict

from shared.contract.fields import About, Label, OneOf, closed
from shared.contract.options import OperatingPointOptions
from shared.contract.queries import Cursor
from shared.contract.states import ItemStatus, Lane, Verdict

OUTCOMES = (*Verdict, *ItemStatus)


@closed
class RerunRequest(TypedDict):
    """The new batch has the images, labels, metadata and part rule of the first one, and no webhook of its own."""

    model: Annotated[str, MinLen(1), MaxLen(200), About("a model version's id or name", examples=["bolts"])]
    operating_point: NotRequired[Annotated[OperatingPointOptions | None, About("in place of the model's")]]
    name: NotRequired[Annotated[Label | None, About("what people call the new batch")]]
    priority: NotRequired[Annotated[str, OneOf(Lane), About("the lane", default=Lane.LOW.value)]]


@closed
class DiffQuery(TypedDict, total=False):
    """Items in two batches with the same images."""

    all: Annotated[bool, About("true: the items that agree as well", default=False)]
    before: Annotated[
        str, OneOf(OUTCOMES), About("with this verdict, or status without one, in the first batch")
    ]
    after: Annotated[
        str, OneOf(OUTCOMES), About("with this verdict, or status without one, in the second batch")
    ]
    limit: Annotated[int, Ge(1), Le(1000), About("items on a page", default=100)]
    cursor: Cursor


class DiffSide(TypedDict):
    """An item in one of the batches."""

    item_id: str
    status: Annotated[str, OneOf(ItemStatus)]
    verdict: Annotated[str, OneOf(Verdict)] | None
    score: float | None


class DiffEntry(TypedDict):
    """An image, as both batches judge it."""

    filename: str
    custom_id: str | None
    part_id: str | None
    before: DiffSide
    after: DiffSide


class DiffCount(TypedDict):
    """So many items have this verdict, or status without one, in the first batch and that in the second."""

    before: Annotated[str, OneOf(OUTCOMES)]
    after: Annotated[str, OneOf(OUTCOMES)]
    count: int


class DiffPayload(TypedDict):
    """A page of the items that two batches judge otherwise, in the order of submission."""

    object: Literal["list"]
    data: list[DiffEntry]
    has_more: bool
    next_cursor: Annotated[str | None, About("the `cursor` of the next page")]
    counts: Annotated[list[DiffCount] | None, About("of all items; on the first page alone")]
