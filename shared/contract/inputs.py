"""A submission as JSON: each image as a data URI, a URL or an object of an S3 store, with its tags."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Annotated, NotRequired

from annotated_types import MaxLen, MinLen
from typing_extensions import TypedDict

from shared.contract.fields import About, Rule, closed
from shared.contract.manifests import TagOptions
from shared.contract.options import Options

_PNG = (  # of a single pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNgAAAAAgAB9HFkpgAAAABJRU5ErkJggg=="
)
_PIXEL = f"data:image/png;base64,{_PNG}"
SOURCES = ("data", "url", "object")
_HTTP = "^[Hh][Tt][Tt][Pp][Ss]?://"
_OBJECT = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^\u0000-\u001f\u007f]+$"
_NAME = r"^[^\u0000-\u001f\u007f-\u009f]*$"
_FOUR = "[A-Za-z0-9+/]"
_DATA_URI = f"^data:(image/[a-z.+-]+)?;base64,({_FOUR}{{4}})*({_FOUR}{{4}}|{_FOUR}{{3}}=|{_FOUR}{{2}}==)$"


def _is_data_uri(text: str) -> str | None:
    wrong = "a data URI is data:image/png;base64, and the bytes in base64"
    head, comma, data = text.partition(",")
    if not (comma and data and head.startswith("data:") and head.endswith(";base64")):
        return wrong
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return wrong
    return None


def _is_http(url: str) -> str | None:
    return None if re.match(_HTTP, url) else "an http or https URL is required"


def _is_object(text: str) -> str | None:
    return None if re.fullmatch(_OBJECT, text) else "an object is s3://BUCKET/KEY"


def _has_one_source(given: Mapping[str, object]) -> str | None:
    named = [name for name in SOURCES if name in given]
    return None if len(named) == 1 else f"an input has one of {', '.join(SOURCES)}"


def _has_control(name: str) -> str | None:
    return None if re.fullmatch(_NAME, name) else "control characters are not allowed"


@closed
class Input(TagOptions, total=False):
    """An image of a JSON submission: `data`, `url` or `object`, one of them."""

    data: Annotated[
        str, Rule(_is_data_uri, pattern=_DATA_URI), About("the image as a data URI", examples=[_PIXEL])
    ]
    url: Annotated[
        Annotated[str, MaxLen(2000), Rule(_is_http, pattern=_HTTP)],
        About(
            "where a worker fetches the image, by http or https; redirects are not followed",
            examples=["https://images.example/part-1.jpg"],
        ),
    ]
    object: Annotated[
        Annotated[str, MaxLen(1200), Rule(_is_object, pattern=_OBJECT)],
        About(
            "an object of a bucket that the operator has opened to this tenant",
            examples=["s3://parts/line-a3/part-1.jpg"],
        ),
    ]
    filename: Annotated[
        Annotated[str, MinLen(1), MaxLen(1000), Rule(_has_control, pattern=_NAME)],
        About("its name; else the last part of its URL or key, or `input-000001.png`"),
    ]


@closed
class InputsForm(TypedDict):
    """A submission as JSON, of at most 1 MiB: some 10,000 URLs of 80 characters. Larger ones are multipart."""

    inputs: Annotated[
        list[Annotated[Input, Rule(_has_one_source, oneOf=[{"required": [name]} for name in SOURCES])]],
        MinLen(1),
        About(
            "the images",
            examples=[[{"data": _PIXEL, "custom_id": "c-1", "part_id": "SN-0001", "view": "top"}]],
        ),
    ]
    options: NotRequired[Annotated[Options, About("as those of a form", examples=[{"lot": "4711"}])]]
