"""A submission as JSON: each input brings its image as a data URI, with its tags."""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import cast

from shared import json_text
from shared.contract.inputs import Input, InputsForm
from shared.contract.manifests import Tags, tags_of
from shared.contract.problems import ErrorEntry
from web.http import validators
from web.http.problems import HttpProblem
from web.upload import names
from web.upload.asked import take_options
from web.upload.body import Body
from web.upload.intake import Intake

JSON = "application/json"
_SUFFIXES = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/bmp": ".bmp",
    "image/tiff": ".tif",
}


def receive_inputs(body: Body, intake: Intake) -> None:
    """Feed the images of a JSON body to an intake; raises HttpProblem for a body that can't be used."""
    text = bytearray()
    while len(text) <= json_text.MAX_BYTES and (block := body.stream.read(2**16)):
        text += block
    asked = cast(InputsForm, validators.read_json(InputsForm, bytes(text), validators.BODY))
    take_options(intake, json.dumps(asked.get("options") or {}).encode())
    tags = [tags_of(each) for each in asked["inputs"]]
    _check_ids(tags)
    intake.expect(len(text))
    intake.inputs_sha256 = hashlib.sha256(json.dumps(tags, sort_keys=True).encode()).hexdigest()
    for (name, data), each in zip(_images(asked["inputs"]), tags, strict=True):
        intake.begin(name)
        intake.write(data)
        intake.end(each)


def _images(inputs: Sequence[Input]) -> Iterator[tuple[str, bytes]]:
    for number, each in enumerate(inputs, 1):
        head, _, text = each["data"].partition(",")
        kind = head.removeprefix("data:").partition(";")[0]
        name = each.get("filename") or f"input-{number:06d}{_SUFFIXES.get(kind, '')}"
        yield names.checked(name), base64.b64decode(text)


def _check_ids(tags: Sequence[Tags]) -> None:
    """Raise 422 for each custom_id that is repeated."""
    first: dict[str, int] = {}
    errors: list[ErrorEntry] = []
    for place, each in enumerate(tags):
        if each.custom_id is not None and first.setdefault(each.custom_id, place) != place:
            detail = f"the custom_id {each.custom_id!r} is that of input {first[each.custom_id]} too"
            errors.append(
                {"code": "duplicate_custom_id", "pointer": f"/inputs/{place}/custom_id", "detail": detail}
            )
    if errors:
        raise HttpProblem(422, "duplicate_custom_id", str(errors[0]["detail"]), errors=errors[:50])
