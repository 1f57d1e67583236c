"""An image for a prediction: the body is the image itself, or a form with exactly one."""

from web.http.problems import HttpProblem
from web.upload import names
from web.upload.body import Body, blocks
from web.upload.intake import Intake
from web.upload.receive import check_header, receive

_FORM_BYTES = 2**20  # room for the boundary, headers and options around the image


def submit_one(intake: Intake, body: Body, filename: str) -> None:
    """Receive and seal a batch of one image, or undo it."""
    _check_header(intake, body)
    intake.service.capacity.check_prediction(intake.batch.tenant, body.length or 0)
    try:
        _receive(intake, body, filename)
        intake.seal()
    except BaseException:
        intake.abandon()
        raise


def _check_header(intake: Intake, body: Body) -> None:
    most = intake.settings.max_item_bytes
    if not body.media_type.startswith("image/"):
        takes = "the image itself as image/jpeg or its like, or multipart/form-data with one image"
        check_header(body, most + _FORM_BYTES, takes=takes)
    elif (body.length or 0) > most:
        raise HttpProblem(413, "request_too_large", f"an image may have {most} bytes")


def _receive(intake: Intake, body: Body, filename: str) -> None:
    most = intake.settings.max_item_bytes
    if not body.media_type.startswith("image/"):
        receive(body, intake, most + _FORM_BYTES)
        if intake.total != 1:
            raise HttpProblem(
                400, "one_image_expected", "send exactly one image; POST /v1/batches takes many"
            )
        return
    # WSGI decodes headers as Latin-1, which keeps every byte.
    raw = filename.encode("latin-1", "replace")
    intake.begin(names.checked(names.decoded(raw, intake.settings.filename_encoding)))
    received = 0
    for block in blocks(body.stream):
        received += len(block)
        if received > most:
            raise HttpProblem(413, "request_too_large", f"an image may have {most} bytes")
        intake.write(block)
    intake.end()
