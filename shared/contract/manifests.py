"""A manifest: ids, view and metadata of each image of a submission, in a file next to the images.

CSV with a header line, or NDJSON. The columns, or members, are those of ManifestLine.
"""

import json
from typing import Annotated, NamedTuple, Required

from annotated_types import MaxLen, MinLen
from typing_extensions import TypedDict

from shared.contract.fields import About, Label, Rule, closed

MAX_ITEM_METADATA_BYTES = 4096
MAX_MANIFEST_BYTES = 16 * 2**20


class Tags(NamedTuple):
    """The facts that a client sends along with an image, kept as sent."""

    custom_id: str | None = None
    part_id: str | None = None
    view: str | None = None
    metadata: dict[str, object] | None = None


_NO_TAGS = Tags()


def _is_small(metadata: dict[str, object]) -> str | None:
    small = len(json.dumps(metadata)) <= MAX_ITEM_METADATA_BYTES
    return None if small else f"the metadata of an image may have {MAX_ITEM_METADATA_BYTES} bytes of JSON"


@closed
class TagOptions(TypedDict, total=False):
    """The facts about an image that come with it."""

    custom_id: Annotated[Label | None, About("your id of the image, unique in its batch", examples=["c-1"])]
    part_id: Annotated[
        Label | None,
        About(
            "the part that the image shows; images with one part_id are views of one part", examples=["4711"]
        ),
    ]
    view: Annotated[Label | None, About("from which side the image shows the part", examples=["top"])]
    metadata: Annotated[
        Annotated[dict[str, object], Rule(_is_small)] | None,
        About("yours, kept and shown as sent; at most 4 KB of JSON", examples=[{"camera": 2}]),
    ]


@closed
class ManifestLine(TagOptions, total=False):
    """A line of a manifest."""

    filename: Required[
        Annotated[str, MinLen(1), MaxLen(1000), About("the name of the image, exactly as its item shows it")]
    ]


MANIFEST_COLUMNS = ("filename", *Tags._fields)


def tags_of(given: TagOptions) -> Tags:
    """The tags of an image; an empty metadata object counts as none."""
    made = Tags(
        given.get("custom_id"), given.get("part_id"), given.get("view"), given.get("metadata") or None
    )
    return _NO_TAGS if made == _NO_TAGS else made  # a million lines may have none
