"""Row 50: the process that tells of verdicts is killed, before its commit and after it; each verdict is told once."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from shared.contract.events import DEFECT_DETECTED, ITEMS_COMPLETED
from tests.faults.rig import Rig
from tests.harness.processes import until
from tests.harness.receivers import Receiver

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(240)
_ITEMS, _DEATHS = 10_000, 3


@pytest.mark.row(50)
def test_each_of_ten_thousand_verdicts_is_told_once_whenever_the_process_that_tells_dies(
    ill: Rig, many: Many
) -> None:
    receiver = Receiver()
    with ill.stack.client() as client:
        endpoint = client.create_webhook(
            {"url": receiver.url, "events": [ITEMS_COMPLETED, DEFECT_DETECTED, "batch.completed"]}
        )
        ill.restart("webhooks", f"tell.owed=kill*{_DEATHS};tell.committed=kill*{_DEATHS}", wait=False)
        batch_id = ill.submit(many(_ITEMS))
        row = ill.finish(batch_id, 150)

        def told() -> dict[str, dict[str, Any]]:
            """The messages by their id: one may come twice, where its sender died before it could note the answer."""
            posts = list(receiver.posts)
            return {headers["webhook-id"]: json.loads(body) for _, headers, body in posts}

        def items() -> Counter[str]:
            pages = [each["data"]["data"] for each in told().values() if each["type"] == ITEMS_COMPLETED]
            return Counter(item["id"] for page in pages for item in page)

        def everything_came() -> bool:
            kinds = Counter(each["type"] for each in told().values())
            return (
                len(items()) == _ITEMS
                and kinds[DEFECT_DETECTED] == row.defect
                and kinds["batch.completed"] == 1
            )

        until(everything_came, 60, "all is told")
        ill.stack.kill_group("webhooks")
        receiver.close()
        client.delete_webhook(endpoint["id"])
    pages = [each for each in told().values() if each["type"] == ITEMS_COMPLETED]
    assert {*items().values()} == {1}
    assert len(pages) <= _ITEMS // 100 + 1
    defects = [each["data"]["id"] for each in told().values() if each["type"] == DEFECT_DETECTED]
    assert len(defects) == len({*defects}) == row.defect
    deaths = ill.fired("tell.owed"), ill.fired("tell.committed")
    assert deaths == (_DEATHS, _DEATHS)
    ill.proof(
        f"{deaths[0]} deaths before the commit, {deaths[1]} after it; {_ITEMS} verdicts in {len(pages)}"
    )
    ill.check()
