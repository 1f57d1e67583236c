"""An item to be reviewed, as the queue gives it to one person."""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from shared.contract.fields import About, OneOf, Time
from shared.contract.items import ItemPayload
from shared.contract.reviews import QUEUED_SOURCES


class ReviewTaskPayload(TypedDict):
    """An item that this caller alone may review until `claimed_until`."""

    object: Literal["review_task"]
    claim: Annotated[str, About("send it with the verdict")]
    claimed_until: Time
    source: Annotated[str, OneOf(QUEUED_SOURCES)]
    round: Annotated[int, About("2 and more: the opinions before it do not show")]
    item: ItemPayload
