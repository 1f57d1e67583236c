"""The query parameters of each path. A list is written comma-separated; an unknown or repeated name is refused."""

import re
from typing import Annotated

from annotated_types import Ge, Le, Len, MaxLen, MinLen
from typing_extensions import TypedDict

from shared.contract.audit import ACTIONS
from shared.contract.fields import About, Moment, OneOf, Rule, Share, closed
from shared.contract.parts import PART_STATUS
from shared.contract.reviews import ENTRY_STATUS, SOURCES
from shared.contract.states import BatchStatus, ItemStatus, Verdict

Cursor = Annotated[
    str, MinLen(1), MaxLen(2000), About("`next_cursor` of the page before, with the same filters and sort")
]

RESULT_FORMATS = ("ndjson", "csv", "parquet")
ITEM_ID = "^itm_[0-9a-hjkmnp-tv-z]{32}$"


def _are_plain_keys(metadata: dict[str, str]) -> str | None:
    """A key stands in a path of SQLite's JSON functions, which has no way to write a quotation mark."""
    return 'a key has no `"` and no backslash' if any({'"', "\\"} & {*key} for key in metadata) else None


def _is_item_id(text: str) -> str | None:
    return None if re.fullmatch(ITEM_ID, text) else "an item's id begins with itm_"


MetadataFilter = Annotated[
    dict[str, str],
    Len(1, 10),
    Rule(_are_plain_keys),
    About(
        "`metadata.KEY=VALUE`: the member KEY of the metadata has this value, a text, number or boolean; several must "
        "all hold, at most ten",
        examples=[{"metadata.shift": "early"}],
    ),
]


@closed
class NoQuery(TypedDict):
    """A path without query parameters."""


@closed
class BatchListQuery(TypedDict, total=False):
    status: Annotated[
        list[Annotated[str, OneOf(BatchStatus)]], Len(1), About("these states, comma-separated")
    ]
    created_after: Annotated[Moment, About("RFC 3339 with an offset", examples=["2026-11-24T10:00:00Z"])]
    created_before: Annotated[Moment, About("RFC 3339 with an offset", examples=["2126-11-24T10:00:00Z"])]
    q: Annotated[
        str, MinLen(1), MaxLen(200), About("text in the name; the case of letters from A to Z does not count")
    ]
    lot: Annotated[str, MinLen(1), MaxLen(200), About("this lot exactly")]
    order: Annotated[str, MinLen(1), MaxLen(200), About("this order exactly")]
    line: Annotated[str, MinLen(1), MaxLen(200), About("this production line exactly")]
    station: Annotated[str, MinLen(1), MaxLen(200), About("this station exactly")]
    operator: Annotated[str, MinLen(1), MaxLen(200), About("this operator exactly")]
    metadata: MetadataFilter
    origin: Annotated[
        str,
        OneOf(("batch", "predict")),
        About("predict: the single images that were sent to /v1/predict", default="batch"),
    ]
    limit: Annotated[int, Ge(1), Le(100), About("batches on a page", default=20)]
    cursor: Cursor


@closed
class SubmitQuery(TypedDict, total=False):
    draft: Annotated[
        bool,
        About("true: leave the batch open; parts are appended until it is finalized", default=False),
    ]
    wait: Annotated[
        float, Ge(0), Le(60), About("seconds to hold the answer until the batch has ended", examples=[20])
    ]


@closed
class AppendQuery(TypedDict):
    part_number: Annotated[
        int,
        Ge(1),
        Le(1_000_000),
        About("yours: a part that is sent again with its number is not appended twice", examples=[1]),
    ]


@closed
class BatchQuery(TypedDict, total=False):
    wait: Annotated[
        float,
        Ge(0),
        Le(60),
        About("seconds to hold the answer until the batch changes or ends", default=0),
    ]


@closed
class ItemListQuery(TypedDict, total=False):
    status: Annotated[list[Annotated[str, OneOf(ItemStatus)]], Len(1), About("these states, comma-separated")]
    verdict: Annotated[list[Annotated[str, OneOf(Verdict)]], Len(1), About("these verdicts, comma-separated")]
    min_score: Annotated[Share, About("the lowest score, included")]
    max_score: Annotated[Share, About("the highest score, included")]
    custom_id: Annotated[str, MinLen(1), MaxLen(200), About("the item with this custom_id")]
    part_id: Annotated[str, MinLen(1), MaxLen(200), About("the views of this part")]
    view: Annotated[str, MinLen(1), MaxLen(200), About("this view of each part")]
    q: Annotated[
        str,
        MinLen(1),
        MaxLen(200),
        About("text in the file name; the case of letters from A to Z does not count"),
    ]
    metadata: MetadataFilter
    sort: Annotated[
        str,
        OneOf(("seq", "score", "-score")),
        About(
            "seq: as submitted; -score: the highest score first. A list by score shows the scores of its first "
            "page's time, and an item that is decided later keeps the place of an undecided one",
            default="seq",
        ),
    ]
    limit: Annotated[int, Ge(1), Le(1000), About("items on a page", default=100)]
    cursor: Cursor


@closed
class ReviewListQuery(TypedDict, total=False):
    """Entries of the review queue."""

    status: Annotated[
        str,
        OneOf(ENTRY_STATUS),
        About("waiting: in the order of the line; done: the newest review first", default="waiting"),
    ]
    source: Annotated[list[Annotated[str, OneOf(SOURCES)]], Len(1), About("these sources, comma-separated")]
    batch_id: Annotated[str, MinLen(1), MaxLen(40), About("of this batch")]
    line: Annotated[str, MinLen(1), MaxLen(200), About("of this production line exactly")]
    limit: Annotated[int, Ge(1), Le(200), About("entries on a page", default=50)]
    cursor: Cursor


@closed
class BatchPartsQuery(TypedDict, total=False):
    """The parts of a batch."""

    part_id: Annotated[str, MinLen(1), MaxLen(200), About("this part alone")]
    status: Annotated[
        list[Annotated[str, OneOf(PART_STATUS)]], Len(1), About("these states, comma-separated")
    ]
    verdict: Annotated[list[Annotated[str, OneOf(Verdict)]], Len(1), About("these verdicts, comma-separated")]
    limit: Annotated[int, Ge(1), Le(200), About("parts on a page", default=50)]
    cursor: Cursor


@closed
class PartListQuery(BatchPartsQuery, total=False):
    """The parts of all batches of a tenant."""

    lot: Annotated[str, MinLen(1), MaxLen(200), About("parts of this lot")]
    order: Annotated[str, MinLen(1), MaxLen(200), About("parts of this order")]


@closed
class ResultsQuery(TypedDict, total=False):
    format: Annotated[str, OneOf(RESULT_FORMATS), About("in place of the Accept header")]
    status: Annotated[list[Annotated[str, OneOf(ItemStatus)]], Len(1), About("these states, comma-separated")]
    verdict: Annotated[list[Annotated[str, OneOf(Verdict)]], Len(1), About("these verdicts, comma-separated")]
    after: Annotated[
        str,
        Rule(_is_item_id, pattern=ITEM_ID),
        About(
            "the id of an item of this batch: go on behind it, after a cut. CSV then has no header line, so that the "
            "rest fits to the end of the whole lines that came"
        ),
    ]
    spreadsheet: Annotated[
        bool,
        About(
            "false: names in CSV as they were sent; true: a quote before a name that a spreadsheet would run",
            default=True,
        ),
    ]


@closed
class TenantQuery(TypedDict, total=False):
    tenant: Annotated[
        str,
        Len(1, 64),
        About(
            "with the scope `operator`: act for this tenant; `*` is the installation", examples=["default"]
        ),
    ]


@closed
class KeysQuery(TypedDict, total=False):
    tenant: Annotated[
        str,
        Len(1, 64),
        About(
            "with the scope `operator`: the keys of this tenant; `*`: those of every tenant",
            examples=["default"],
        ),
    ]


@closed
class AuditQuery(TypedDict, total=False):
    tenant: Annotated[
        str,
        Len(1, 64),
        About(
            "with the scope `operator`: the entries of this tenant; `*`: every entry, the installation's too",
            examples=["default"],
        ),
    ]
    key_id: Annotated[str, MinLen(1), MaxLen(40), About("the key that acted")]
    action: Annotated[
        list[Annotated[str, OneOf(ACTIONS)]],
        Len(1),
        About("these actions, comma-separated", examples=[["key.create"]]),
    ]
    object_id: Annotated[
        str, MinLen(1), MaxLen(40), About("the object: a batch, model version, key or session")
    ]
    created_after: Annotated[Moment, About("RFC 3339 with an offset", examples=["2026-11-24T10:00:00Z"])]
    created_before: Annotated[Moment, About("RFC 3339 with an offset", examples=["2126-11-24T10:00:00Z"])]
    limit: Annotated[int, Ge(1), Le(1000), About("entries on a page", default=100)]
    cursor: Cursor


@closed
class DriftQuery(TypedDict, total=False):
    model_id: Annotated[str, MinLen(1), MaxLen(40), About("this model version")]
    line: Annotated[str, MinLen(1), MaxLen(200), About("this production line exactly")]
    drifted: Annotated[bool, About("only windows with, or only those without drift")]
    limit: Annotated[int, Ge(1), Le(1000), About("windows on a page", default=100)]
    cursor: Cursor


@closed
class ShadowListQuery(TypedDict, total=False):
    limit: Annotated[int, Ge(1), Le(1000), About("shadows on a page", default=100)]
    cursor: Cursor


@closed
class PredictQuery(TypedDict, total=False):
    model: Annotated[
        str, MinLen(1), MaxLen(200), About("a model version's id or name; the active one where absent")
    ]


@closed
class UploadModelQuery(TenantQuery, total=False):
    without_guard: Annotated[
        bool,
        About(
            "take an artifact that does not know how its images look; its batches carry a warning",
            default=False,
        ),
    ]


@closed
class ReviewExportQuery(TypedDict, total=False):
    """The reviewed images of a time."""

    window: Annotated[
        float,
        Ge(60),
        Le(10 * 366 * 86_400),
        About("reviewed in so many seconds before now", default=366 * 86_400.0),
    ]
    batch_id: Annotated[str, MinLen(1), MaxLen(40), About("of this batch")]
    line: Annotated[str, MinLen(1), MaxLen(200), About("of this production line exactly")]
