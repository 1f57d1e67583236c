"""The scores of a tenant's batch in bins, for the API and for the histogram of the batch's page."""

from shared.contract.scores import BINS, ScoresPayload
from shared.lifecycle import score_bins, score_order
from shared.store.documents import Bins
from shared.store.records import BatchRecord
from web.http.problems import HttpProblem
from web.resources.batches import find
from web.service import Service


def shown(here: Service, tenant: str, batch_id: str) -> ScoresPayload:
    """The bins of a batch of the tenant. Raises 404, and 409 while the batch runs."""
    batch = find(here, tenant, batch_id)
    if batch.finished_at is None:
        why = f"a batch that is {batch.status} has no histogram: wait until it has ended"
        raise HttpProblem(409, "wrong_state", why)
    return _payload(batch, score_bins.of(here.database, batch))


def at_hand(here: Service, batch: BatchRecord) -> ScoresPayload | None:
    """The bins of a batch, where they are kept or quickly counted.

    None for a batch that runs or has no score, and for a large one that the sweep has not counted yet.
    """
    if batch.finished_at is None or not batch.succeeded:
        return None
    if batch.total <= score_order.LARGE:
        return _payload(batch, score_bins.of(here.database, batch))
    with here.database.read() as connection:
        bins = score_bins.kept(connection, batch)
    return None if bins is None else _payload(batch, bins)


def _payload(batch: BatchRecord, bins: Bins) -> ScoresPayload:
    return {
        "object": "scores",
        "batch_id": batch.id,
        "bins": BINS,
        "operating_point": {
            "threshold": batch.threshold,
            "review_band": [batch.review_low, batch.review_high],
        },
        "revision": batch.revision,
        "items": bins["items"],
        "parts": bins["parts"],
        "named_parts": bins.get("named_parts", {}),
        "review_parts": bins["review_parts"],
        "part_rule": batch.part_rule,
    }
