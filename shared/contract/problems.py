"""An error as RFC 9457 lays it out."""

from typing import Annotated, NotRequired

from typing_extensions import TypedDict

from shared.contract.fields import About


class ErrorEntry(TypedDict, total=False):
    code: str
    detail: str
    pointer: Annotated[
        str,
        About(
            "JSON Pointer (RFC 6901) into the body; /query/NAME and /header/NAME name a parameter, "
            "and an empty one the request as a whole"
        ),
    ]
    filename: str
    line: int


class Problem(TypedDict):
    """RFC 9457. `code` is stable and explained where `type` points."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: NotRequired[Annotated[list[ErrorEntry], About("one entry for each bad part, 50 at most")]]
