"""One image for a prediction: the body is the image itself, or a form with exactly one."""

from web.http.problems import HttpProblem
from web.upload.body import Body, blocks
from web.upload.intake import Intake
from web.upload.names import label
from web.upload.receive import receive

_FORM_BYTES = 2**20  # room for the boundary, headers and options around the image


def submit_one(intake: Intake, body: Body, filename: str) -> None:
    """Receive and seal a batch of one image, or undo it."""
    try:
        _receive(intake, body, filename)
        intake.seal()
    except BaseException:
        intake.abandon()
        raise


def _receive(intake: Intake, body: Body, filename: str) -> None:
    most = intake.settings.max_item_bytes
    if not body.media_type.startswith("image/"):
        receive(body, intake, most + _FORM_BYTES)
        if intake.total != 1:
            raise HttpProblem(
                400, "one_image_expected", "send exactly one image; POST /v1/batches takes many"
            )
        return
    intake.begin(label(filename))
    received = 0
    for block in blocks(body.stream):
        received += len(block)
        if received > most:
            raise HttpProblem(413, "request_too_large", f"an image may have {most} bytes")
        intake.write(block)
    intake.end()
