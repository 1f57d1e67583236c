"""What clients send, as types: the API document is made from them."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from shared.contract.events import Event
from shared.contract.scopes import Scope
from shared.contract.states import Lane


class OperatingPointRequest(TypedDict, total=False):
    """Instead of the model's own."""

    threshold: Annotated[float, {"minimum": 0, "maximum": 1}]
    review_band: Annotated[list[float], "lowest and highest score that a person must look at"]


class WebhookRequest(TypedDict):
    """Where to tell how the batch ended."""

    url: Annotated[str, "http or https"]
    secret: NotRequired[Annotated[str, "whsec_ and 24 to 64 bytes in base64; made for you where absent"]]
    events: NotRequired[list[Event]]


class OptionsRequest(TypedDict, total=False):
    """The `options` part of a submission. An unknown name is refused."""

    priority: Annotated[str, Lane, "which queue: interactive, normal (default) or low"]
    model: Annotated[str, "a model's id or name; the active one by default"]
    operating_point: OperatingPointRequest
    metadata: Annotated[dict[str, Any], "yours; at most 16 KB of JSON"]
    webhook: WebhookRequest
    deadline: Annotated[float, "seconds after which items that have not begun expire"]
    retention: Annotated[float, "seconds the finished batch is kept"]
    on_error: Annotated[Literal["continue", "abort"], "abort: the first failed item ends the batch"]


class SubmissionForm(TypedDict, total=False):
    options: Annotated[OptionsRequest, "best sent first: chunks then start while the upload goes on"]
    images: Annotated[list[bytes], "any number of pictures: JPEG, PNG, WebP, BMP or TIFF"]
    archive: Annotated[bytes, "instead of images: one zip, tar or tar.gz"]


class PredictForm(TypedDict):
    file: Annotated[bytes, "one picture"]


class ApiKeyRequest(TypedDict):
    name: Annotated[str, {"maxLength": 200}]
    scopes: NotRequired[Annotated[list[Scope], "submit and read by default"]]


class SessionRequest(TypedDict):
    key: Annotated[str, "the secret of a live API key"]
