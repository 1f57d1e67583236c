"""The tasks: each is a few lines, takes ids and names only, and is safe to lose, to repeat and to run late.

No error may leave a task body: a MemoryError would end the whole worker.
"""

import functools
import logging
from collections.abc import Callable
from typing import Any

from shared.blobs.store import Drawing
from shared.broker import queues
from worker.app import app, dispatcher, fetcher, runtime

log = logging.getLogger(__name__)


def _task(name: str) -> Callable[[Callable[..., None]], Any]:
    """Register a task whose errors are logged and end there; the sweep finds the work that it left."""

    def register(body: Callable[..., None]) -> Any:
        @functools.wraps(body)
        def guarded(*args: object) -> None:
            try:
                body(*args)
            except Exception as error:
                log.exception("%s%r failed", name, args, exc_info=error)

        return app.task(name=name, Request="worker.request:Request")(guarded)

    return register


@_task(queues.INFER)
def infer(lane: str) -> None:
    """Infer one queued chunk of a lane. Repeated, it claims another chunk or nothing."""
    from worker.inference.infer import infer_chunks

    infer_chunks(runtime(), lane)


@_task(queues.DRAW)
def draw(kind: Drawing, batch_id: str, seq: int) -> None:
    """Draw an item's thumbnail, image or heatmap. Repeated, it finds the file there."""
    from worker.inference.drawings import draw_item

    draw_item(runtime(), kind, batch_id, seq)


@_task(queues.SHADOW)
def shadow() -> None:
    """Score images for shadows while no verdict waits. Repeated, it scores others, since a claim moves the place."""
    from shared.broker import messages
    from worker.inference.shadow import score_some

    if score_some(runtime()):
        messages.send(app, queues.SHADOW, [], queues.SHADOWS)


@_task(queues.DELIVER)
def deliver_webhook(delivery_id: str) -> None:
    """Look for due deliveries, this one among them. Repeated, it claims nothing, since a claim moves the due time."""
    dispatcher().wake()


@_task(queues.FETCH)
def fetch_images() -> None:
    """Look for due fetches. Repeated, it claims nothing, since a claim moves the due time."""
    fetcher().wake()


@_task(queues.TRIAL)
def trial(model_id: str) -> None:
    """Load an uploaded model version by trial. Repeated, it claims nothing, since a claim moves the due time."""
    from worker.trials import begin_trial

    begin_trial(runtime().database, runtime().blobs, runtime().settings, model_id)
