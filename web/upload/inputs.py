"""A submission as JSON: each input brings its image as a data URI, or names it for a worker to fetch, with its tags."""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import cast
from urllib.parse import unquote, urlsplit

from shared import json_text
from shared.blobs import buckets
from shared.contract.inputs import SOURCES, Input, InputsForm
from shared.contract.manifests import Tags, tags_of
from shared.contract.problems import ErrorEntry
from shared.errors import GonogoError
from shared.webhooks import addresses
from web.http import validators
from web.http.problems import HttpProblem
from web.upload import names
from web.upload.asked import take_options
from web.upload.body import Body
from web.upload.intake import Intake

JSON = "application/json"
_MAX_ERRORS = 50
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
    inputs = asked["inputs"]
    take_options(intake, json.dumps(asked.get("options") or {}).encode())
    tags = [tags_of(each) for each in inputs]
    _check_ids(tags)
    _check_sources(inputs, intake)
    intake.expect(len(text))
    intake.inputs_sha256 = _sha256_of(inputs, tags)
    for number, (each, its_tags) in enumerate(zip(inputs, tags, strict=True), 1):
        name = names.checked(each.get("filename") or _name_of(each, number))
        if (source := _source_of(each)) is not None:
            intake.defer(name, source, its_tags)
        else:
            intake.begin(name)
            intake.write(base64.b64decode(each["data"].partition(",")[2]))
            intake.end(its_tags)


def _source_of(each: Input) -> str | None:
    """The URL or object that a worker fetches; None for an image that came with the request."""
    return each.get("url") or each.get("object")


def _name_of(each: Input, number: int) -> str:
    """The name of an input that gives none."""
    numbered = f"input-{number:06d}"
    if (source := _source_of(each)) is None:
        kind = each["data"].partition(";")[0].removeprefix("data:")
        return numbered + _SUFFIXES.get(kind, "")
    path = unquote(urlsplit(source).path) if "url" in each else source
    last = path.rpartition("/")[2]
    return numbered if not last or names.objection(last) else last


def _sha256_of(inputs: Sequence[Input], tags: Sequence[Tags]) -> str:
    """A digest of tags and sources: inputs that differ in one of them are other content."""
    sources = [_source_of(each) for each in inputs]
    content = [tags, sources] if any(sources) else tags
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _check_sources(inputs: Sequence[Input], intake: Intake) -> None:
    """Raise 422 for the inputs whose source no worker may fetch, as far as can be known without asking DNS."""
    settings, errors = intake.settings, list[ErrorEntry]()
    if any(_source_of(each) for each in inputs) and (intake.options or {}).get("frames") == "split":
        why = "the frames of an image are counted when it comes: send images to split in the request itself"
        entry = ErrorEntry(code="invalid_option", pointer="/options/frames", detail=why)
        raise HttpProblem(422, "invalid_options", why, errors=[entry])
    for place, each in enumerate(inputs):
        try:
            if "url" in each:
                addresses.check_url(each["url"], settings.fetch_allowed_networks)
            elif "object" in each:
                buckets.check(settings.s3_buckets, intake.batch.tenant, each["object"])
        except GonogoError as error:
            member = next(name for name in SOURCES if name in each)
            pointer = f"/inputs/{place}/{member}"
            errors.append(ErrorEntry(code=error.code, pointer=pointer, detail=error.detail))
            if len(errors) == _MAX_ERRORS:
                break
    if errors:
        raise HttpProblem(422, str(errors[0]["code"]), str(errors[0]["detail"]), errors=errors)


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
        raise HttpProblem(422, "duplicate_custom_id", str(errors[0]["detail"]), errors=errors[:_MAX_ERRORS])
