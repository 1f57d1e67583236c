"""A submission as JSON: images as data URIs, each with its tags."""

import base64
import binascii
import re
from typing import Annotated, NotRequired, Required

from annotated_types import MaxLen, MinLen
from typing_extensions import TypedDict

from shared.contract.fields import About, Rule, closed
from shared.contract.manifests import TagOptions
from shared.contract.options import Options

_PNG = (  # of a single pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNgAAAAAgAB9HFkpgAAAABJRU5ErkJggg=="
)
_PIXEL = f"data:image/png;base64,{_PNG}"
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


def _has_control(name: str) -> str | None:
    return None if re.fullmatch(_NAME, name) else "control characters are not allowed"


@closed
class Input(TagOptions, total=False):
    """An image of a JSON submission."""

    data: Required[
        Annotated[
            str, Rule(_is_data_uri, pattern=_DATA_URI), About("the image as a data URI", examples=[_PIXEL])
        ]
    ]
    filename: Annotated[
        Annotated[str, MinLen(1), MaxLen(1000), Rule(_has_control, pattern=_NAME)],
        About("its name; `input-000001.png` where absent"),
    ]


@closed
class InputsForm(TypedDict):
    """A submission as JSON, of at most 1 MiB; larger ones are multipart."""

    inputs: Annotated[
        list[Input],
        MinLen(1),
        About(
            "the images",
            examples=[[{"data": _PIXEL, "custom_id": "c-1", "part_id": "SN-0001", "view": "top"}]],
        ),
    ]
    options: NotRequired[Annotated[Options, About("as those of a form", examples=[{"lot": "4711"}])]]
