"""The warnings of a batch about its verdicts as a whole: many unfamiliar images, a promise that they void, or a model
without a guard."""

from shared.contract.marks import NO_GUARD, PROMISE_VOID, UNFAMILIAR_IMAGES, BatchWarning
from shared.store.records import BatchRecord

UNFAMILIAR_SHARE = 0.05  # of the judged items; up to here they may be single accidents
UNFAMILIAR_LEAST = 3


def many_unfamiliar(unfamiliar: int, judged: int) -> bool:
    """Whether so many of the judged images are unlike those of the model that its figures do not hold for them."""
    return unfamiliar >= UNFAMILIAR_LEAST and unfamiliar > UNFAMILIAR_SHARE * judged


def doubts(row: BatchRecord) -> list[BatchWarning]:
    """The warnings that a batch has earned so far; they are counted with its verdicts."""
    found: list[BatchWarning] = []
    if many_unfamiliar(row.unfamiliar, row.succeeded):
        detail = f"{row.unfamiliar} of {row.succeeded} images are unlike those this model was trained on"
        found.append({"code": UNFAMILIAR_IMAGES, "detail": detail})
        if row.promised is not None:
            share = row.unfamiliar / row.succeeded
            detail = (
                f"the promise that at most {100 * row.promised:g} % of the defective parts pass does not hold for this "
                f"batch: it was made for images like those of the training, and {share:.1%} are not"
            )
            found.append({"code": PROMISE_VOID, "detail": detail})
    if not row.guarded:
        detail = "this model does not know how its images look: an image of anything else gets a verdict too"
        found.append({"code": NO_GUARD, "detail": detail})
    return found
