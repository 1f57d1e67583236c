"""Batches: read, await, list, steer and delete them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from shared.client.calls import get, pages, post
from shared.client.places import identifier
from shared.client.transport import Transport
from shared.contract.states import FINISHED_BATCH

if TYPE_CHECKING:
    from shared.contract.batches import BatchPayload
    from shared.contract.reruns import DiffCount, DiffEntry
    from shared.contract.rescoring import RescoreAnswer, RescoringPayload
    from shared.contract.scores import ScoresPayload


class Batches:
    """Follow and steer batches."""

    _wire: Transport
    _seen: dict[str, tuple[str, BatchPayload]]  # batch id → ETag and the batch as last answered

    def batch(self, batch_id: str, *, wait: float | None = None) -> BatchPayload:
        """The batch now; with `wait` (seconds, at most 60), once it has changed since this client last read it."""
        path = f"/v1/batches/{identifier(batch_id)}"
        etag, known = self._seen.get(batch_id, ("", None))
        headers = {"If-None-Match": etag} if known is not None else {}
        query = f"?wait={wait:g}" if wait else ""
        answer = self._wire.call("GET", path + query, headers=headers, hold_s=wait or 0.0)
        if answer.status == 304 and known is not None:
            return known
        batch = cast("BatchPayload", answer.json())
        self._seen.pop(batch_id, None)
        if batch["status"] not in FINISHED_BATCH and "ETag" in answer.headers:
            self._seen[batch_id] = (answer.headers["ETag"], batch)
        return batch

    def watch(
        self, batch_id: str, *, timeout_s: float | None = None, hold_s: float = 20.0
    ) -> Iterator[BatchPayload]:
        """The batch now and after each change, ending with the finished one; raises TimeoutError."""
        ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        batch = self.batch(batch_id)
        yield batch
        while batch["status"] not in FINISHED_BATCH:
            left = hold_s if ends_at is None else min(hold_s, ends_at - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"{batch_id} is still {batch['status']} after {timeout_s:g} s")
            batch = self.batch(batch_id, wait=max(left, 0.1))
            yield batch

    def wait(self, batch_id: str, *, timeout_s: float | None = None) -> BatchPayload:
        """The finished batch; raises TimeoutError."""
        *_, batch = self.watch(batch_id, timeout_s=timeout_s)
        return batch

    def batches(self, **filters: object) -> Iterator[BatchPayload]:
        """Every batch of this key's tenant, active first; filters as in the API (status, q, limit, …)."""
        return pages(self._wire, "/v1/batches", filters)

    def cancel(self, batch_id: str) -> BatchPayload:
        """Stop a batch; ApiError 409 when it has finished."""
        return cast("BatchPayload", post(self._wire, f"/v1/batches/{identifier(batch_id)}/cancel"))

    def pause(self, batch_id: str) -> BatchPayload:
        """Hold what has not begun; ApiError 409 when the batch has finished."""
        return cast("BatchPayload", post(self._wire, f"/v1/batches/{identifier(batch_id)}/pause"))

    def resume(self, batch_id: str) -> BatchPayload:
        """Go on with a paused batch; ApiError 409 when it has finished."""
        return cast("BatchPayload", post(self._wire, f"/v1/batches/{identifier(batch_id)}/resume"))

    def retry(self, batch_id: str) -> BatchPayload:
        """Judge the failed items of a finished batch again; ApiError 409 when it has none, or runs."""
        return cast("BatchPayload", post(self._wire, f"/v1/batches/{identifier(batch_id)}/retry"))

    def rescore(
        self,
        batch_id: str,
        *,
        threshold: float | None = None,
        review_band: tuple[float, float] | None = None,
        dry_run: bool = False,
        expected_revision: int | None = None,
    ) -> RescoreAnswer:
        """Judge a finished batch by another operating point, from its scores; `dry_run` tells what would change.

        `expected_revision`: the batch's `revision` as the caller read it; ApiError 409 where another rescoring came.
        """
        asked: dict[str, object] = {"dry_run": dry_run}
        if expected_revision is not None:
            asked["expected_revision"] = expected_revision
        if threshold is not None:
            asked["threshold"] = threshold
        if review_band is not None:
            asked["review_band"] = list(review_band)
        answer = post(self._wire, f"/v1/batches/{identifier(batch_id)}/rescore", asked)
        return cast("RescoreAnswer", answer)

    def rescorings(self, batch_id: str) -> list[RescoringPayload]:
        """How the batch was rescored, the newest first."""
        return list(pages(self._wire, f"/v1/batches/{identifier(batch_id)}/rescorings", {}))

    def scores(self, batch_id: str) -> ScoresPayload:
        """The scores of a finished batch in a thousand bins; ApiError 409 while it runs."""
        return cast("ScoresPayload", get(self._wire, f"/v1/batches/{identifier(batch_id)}/scores"))

    def rerun(
        self,
        batch_id: str,
        *,
        model: str,
        operating_point: dict[str, object] | None = None,
        name: str | None = None,
    ) -> BatchPayload:
        """Judge the images of a finished batch by another model version; returns the new batch."""
        asked = {"model": model, "operating_point": operating_point, "name": name}
        answer = post(self._wire, f"/v1/batches/{identifier(batch_id)}/rerun", asked, once=True)
        return cast("BatchPayload", answer)

    def diff(self, batch_id: str, other_id: str, **filters: object) -> Iterator[DiffEntry]:
        """The items that a batch and its rerun judge otherwise; `all=True`: every item."""
        return pages(self._wire, f"/v1/batches/{identifier(batch_id)}/diff/{identifier(other_id)}", filters)

    def diff_counts(self, batch_id: str, other_id: str) -> list[DiffCount]:
        """How many items have which verdict in one batch and in the other."""
        path = f"/v1/batches/{identifier(batch_id)}/diff/{identifier(other_id)}?limit=1"
        return cast("list[DiffCount]", get(self._wire, path)["counts"])

    def delete(self, batch_id: str) -> None:
        """Remove a batch, its items and its bytes; ApiError 409 while it runs."""
        self._wire.call("DELETE", f"/v1/batches/{identifier(batch_id)}")
