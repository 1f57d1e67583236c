"""Marks of a batch: why it is blocked, and its warnings. A row holds them as the contract shows them."""

from typing import Annotated, NotRequired

from typing_extensions import TypedDict

from shared.contract.fields import About, OneOf, Time

UNFAMILIAR_IMAGES, PROMISE_VOID, NO_GUARD = "unfamiliar_images", "promise_void", "no_guard"
DRIFT = "drift"  # found by the sweep, and kept in the batch
BLOCKED_CODES = ("model_refused", "store_missing", "no_worker", "no_fetcher")


class Blocked(TypedDict):
    code: Annotated[str, OneOf(BLOCKED_CODES)]
    detail: str
    since: Time


ABORTED, WEBHOOK_EXHAUSTED = "aborted_on_error", "webhook_exhausted"


class BatchWarning(TypedDict):
    """A fact about the batch that a person should see: a skipped file, many unfamiliar images, the model's promise that
    they void, drift on its line, a model that does not know how its images look, the failed item that ended the batch,
    or a webhook that its receiver did not take."""

    code: Annotated[
        str,
        OneOf(("file_skipped", UNFAMILIAR_IMAGES, PROMISE_VOID, DRIFT, NO_GUARD, ABORTED, WEBHOOK_EXHAUSTED)),
    ]
    filename: NotRequired[
        Annotated[str, About("of `file_skipped`, and of the item whose failure ended the batch")]
    ]
    detail: str
