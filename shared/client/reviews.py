"""Reviews: the queue of items that persons look at, and their verdicts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from shared.client.calls import JSON, get, pages, post
from shared.client.places import identifier, with_query
from shared.client.transport import Transport

if TYPE_CHECKING:
    from shared.contract.agreement import AgreementPayload
    from shared.contract.items import ItemPayload
    from shared.contract.review_tasks import ReviewTaskPayload
    from shared.contract.reviews import ReviewEntryPayload


class Reviews:
    """Look at items, and give a person's verdict. It takes a key with the scope `review`."""

    _wire: Transport

    def reviews(self, **filters: object) -> Iterator[ReviewEntryPayload]:
        """Entries of the queue; `filters` are the query of GET /v1/reviews."""
        return pages(self._wire, "/v1/reviews", filters)

    def next_review(self, **wanted: object) -> ReviewTaskPayload | None:
        """The next item of the queue, held for this caller; None where none waits.

        `wanted` are members of the body of POST /v1/reviews/next. Where the connection breaks, the item of a lost
        answer returns to the queue when its lease has ended.
        """
        asked = {name: value for name, value in wanted.items() if value is not None}
        answer = self._wire.call("POST", "/v1/reviews/next", body=_json(asked), headers=JSON)
        return None if answer.status == 204 else cast("ReviewTaskPayload", answer.json())

    def review_item(
        self, item_id: str, verdict: str, *, note: str | None = None, claim: str | None = None
    ) -> ItemPayload:
        """Give a verdict, `defect` or `no_defect`; the same again changes nothing. `claim`: of `next_review`."""
        given = {"verdict": verdict, "note": note, "claim": claim}
        path = f"/v1/items/{identifier(item_id)}/review"
        return cast("ItemPayload", post(self._wire, path, {k: v for k, v in given.items() if v is not None}))

    def agreement(self, **asked: object) -> AgreementPayload:
        """How well the model and persons agree; `asked` is the query of GET /v1/stats/agreement."""
        return cast("AgreementPayload", get(self._wire, with_query("/v1/stats/agreement", **asked)))

    @contextlib.contextmanager
    def review_export(self, **asked: object) -> Iterator[Iterator[bytes]]:
        """The reviewed images as a zip, in blocks; `asked` is the query of GET /v1/reviews/export.

        The blocks raise ResultsCut where the zip breaks off.
        """
        with self._wire.stream(with_query("/v1/reviews/export", **asked), {"Accept": "*/*"}) as (_, blocks):
            yield blocks

    def take_back_review(self, item_id: str) -> ItemPayload:
        """Take back this key's newest opinion on an item."""
        path = f"/v1/items/{identifier(item_id)}/review"
        return cast("ItemPayload", self._wire.call("DELETE", path).json())

    def skip_review(self, item_id: str, *, claim: str | None = None) -> None:
        """Give an item back to the queue, behind the others."""
        path = f"/v1/items/{identifier(item_id)}/skip"
        self._wire.call("POST", path, body=_json({"claim": claim} if claim else {}), headers=JSON)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
