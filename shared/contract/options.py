"""The options of a submission: the one definition that requests, the OpenAPI document, client and CLI help use."""

import base64
import json
from typing import Annotated, NotRequired, Required, get_type_hints

from annotated_types import Gt, Le, Len, MaxLen, MinLen
from typing_extensions import TypedDict

from shared.contract.events import EVENTS, DefectRateAlert
from shared.contract.fields import About, Label, OneOf, Rule, Share, closed
from shared.contract.states import Lane, PartRule

MAX_METADATA_BYTES = 16_384
# Options that say where and for which order the parts were made: columns of the batch, and filters of the list.
LABELS = ("lot", "order", "line", "station", "operator")
_LETTERS = "[A-Za-z0-9+/]"
_SECRET_PATTERN = (  # 24 to 64 bytes in base64
    f"^whsec_(({_LETTERS}{{4}}){{8,20}}({_LETTERS}{{4}}|{_LETTERS}{{3}}=|{_LETTERS}{{2}}==)?"
    f"|({_LETTERS}{{4}}){{21}}({_LETTERS}{{2}}==)?)$"
)
_TEN_YEARS_S = 10 * 366 * 86_400


def _band_is_ordered(band: list[float]) -> str | None:
    return None if band[0] <= band[1] else "the lower end comes first"


def _are_different(views: list[str]) -> str | None:
    return None if len({*views}) == len(views) else "a view is named twice"


def wrong_secret(secret: str) -> str | None:
    """The fault of a webhook secret, or None."""
    wrong = "a secret is whsec_ and 24 to 64 bytes in base64"
    if not secret.startswith("whsec_"):
        return wrong
    try:
        return None if 24 <= len(base64.b64decode(secret[6:], validate=True)) <= 64 else wrong
    except ValueError:  # binascii.Error, and the error of letters beyond ASCII
        return wrong


def _is_small(metadata: dict[str, object]) -> str | None:
    small = len(json.dumps(metadata)) <= MAX_METADATA_BYTES
    return None if small else f"metadata may have {MAX_METADATA_BYTES} bytes of JSON"


def _is_http(url: str) -> str | None:
    return None if url.lower().startswith(("https://", "http://")) else "an http or https URL is required"


WebhookUrl = Annotated[
    str,
    MaxLen(2000),
    Rule(_is_http, pattern="^[Hh][Tt][Tt][Pp][Ss]?://"),
    About("http or https", examples=["https://receiver.example/gonogo"]),
]
WebhookSecret = Annotated[str, Rule(wrong_secret, pattern=_SECRET_PATTERN)]
Duration = Annotated[float, Gt(0), Le(_TEN_YEARS_S)]


@closed
class OperatingPointOptions(TypedDict, total=False):
    """In place of the model's own; a part that is absent comes from the model, and low <= threshold <= high."""

    threshold: Annotated[Share | None, About("a score from here on is a defect", examples=[0.5])]
    review_band: Annotated[
        Annotated[list[Share], Len(2, 2), Rule(_band_is_ordered)] | None,
        About("lowest and highest score that a person must look at", examples=[[0.4, 0.6]]),
    ]


@closed
class WebhookOptions(TypedDict, total=False):
    """Where to tell how the batch ended."""

    url: Required[WebhookUrl]
    secret: Annotated[
        WebhookSecret | None,
        About("whsec_ and 24 to 64 bytes in base64; the service makes one where it is absent"),
    ]
    events: Annotated[
        Annotated[list[Annotated[str, OneOf(EVENTS)]], MinLen(1)] | None,
        About("the events to send; those of the batch where absent"),
    ]


FRAMES = ("refuse", "split")


@closed
class Options(TypedDict, total=False):
    """The `options` of a submission. An unknown name is refused."""

    name: Annotated[
        Label | None,
        About("what people call the batch", examples=["line A3, lot 4711"]),
    ]
    lot: Annotated[Label | None, About("the lot that the parts belong to", examples=["4711"])]
    order: Annotated[Label | None, About("the order that the parts were made for", examples=["PO-2026-118"])]
    line: Annotated[Label | None, About("the production line", examples=["A3"])]
    station: Annotated[Label | None, About("the inspection station", examples=["end-of-line 2"])]
    operator: Annotated[Label | None, About("the person or shift at the station", examples=["early shift"])]
    priority: Annotated[
        str, OneOf(Lane), About("the lane: how urgent the batch is", default=Lane.NORMAL.value)
    ]
    model: Annotated[
        Annotated[str, MaxLen(200)] | None, About("a model version's id or name; the active one where absent")
    ]
    operating_point: Annotated[
        OperatingPointOptions | None, About("threshold and review band in place of the model's")
    ]
    part_rule: Annotated[
        str,
        OneOf(PartRule),
        About(
            "how the verdicts of its views make a part's: any_defect, one defect is enough; all_defect, each view has "
            "one. A view without a verdict, or in review, leaves the part in review unless the other views decide it",
            default=PartRule.ANY_DEFECT.value,
        ),
    ]
    expected_views: Annotated[
        Annotated[list[Label], Len(1, 64), Rule(_are_different, uniqueItems=True)] | None,
        About("the views of each part; a part that lacks one gets review", examples=[["top", "side"]]),
    ]
    metadata: Annotated[
        dict[str, object],
        Rule(_is_small),
        About(
            "yours, kept and shown as sent; at most 16 KB of JSON", default={}, examples=[{"shift": "early"}]
        ),
    ]
    webhook: Annotated[WebhookOptions | None, About("where to tell how the batch ended")]
    deadline: Annotated[
        Duration | None, About("seconds after which items that have not begun expire", examples=[3600])
    ]
    retention: Annotated[
        Duration | None, About("seconds the finished batch is kept; the service's own setting where absent")
    ]
    frames: Annotated[
        str,
        OneOf(FRAMES),
        About(
            "a file of several images (TIFF pages, MPO, animated PNG and WebP): fail it with multiple_frames, or make "
            "an item of each; split needs the options before the first image",
            default="refuse",
        ),
    ]
    defect_rate_alert: Annotated[
        DefectRateAlert | None,
        About("tell once, as `batch.defect_rate_exceeded`, that more than this share are defects"),
    ]
    on_error: Annotated[
        str,
        OneOf(("continue", "abort")),
        About("abort: the first failed item ends the batch", default="continue"),
    ]


def descriptions() -> dict[str, str]:
    """Each option's name and its sentence, for help texts."""
    hints = get_type_hints(Options, include_extras=True)
    return {
        name: note.keywords["description"]
        for name, hint in hints.items()
        for note in hint.__metadata__
        if isinstance(note, About)
    }


class _Form(TypedDict):
    options: NotRequired[
        Annotated[Options, About("sent first, it lets chunks start while the upload goes on")]
    ]
    manifest: NotRequired[
        Annotated[
            bytes,
            About(
                "CSV with a header line or NDJSON: filename, custom_id, part_id, view, metadata for each image"
            ),
        ]
    ]


@closed
class ImageForm(_Form):
    """A multipart submission of images."""

    images: Annotated[list[bytes], MinLen(1), About("any number of images: JPEG, PNG, WebP, BMP or TIFF")]


@closed
class ArchiveForm(_Form):
    """A multipart submission of one archive."""

    archive: Annotated[bytes, About("one zip, tar or tar.gz")]


SubmissionForm = ImageForm | ArchiveForm


@closed
class ImagePart(TypedDict):
    """Images for a draft."""

    manifest: NotRequired[Annotated[bytes, About("of the images of this part")]]
    images: Annotated[list[bytes], MinLen(1), About("any number of images")]


@closed
class ArchivePart(TypedDict):
    """An archive of images for a draft."""

    manifest: NotRequired[Annotated[bytes, About("of the images of this part")]]
    archive: Annotated[bytes, About("one zip, tar or tar.gz")]


AppendForm = ImagePart | ArchivePart


@closed
class PredictForm(TypedDict):
    file: Annotated[bytes, About("one image")]
