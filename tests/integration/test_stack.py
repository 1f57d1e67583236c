"""The whole chain on both databases: upload, queue, worker, verdict rows, poll."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from shared.client.client import Client
from shared.contract.states import ItemStatus
from shared.store.tables import Item
from tests.harness.processes import until
from tests.harness.stack import running

pytestmark = pytest.mark.timeout(120)


def test_every_image_of_a_batch_gets_one_verdict(
    database_url: str, artifact: Path, images: dict[str, bytes], tmp_path: Path
) -> None:
    with running(tmp_path, [artifact], database_url=database_url) as stack:
        batch = stack.finish(stack.submit(images, {"metadata": {"line": "A3"}})["id"])
        items = stack.items(batch["id"])
    assert batch["status"] == "completed"
    assert batch["outcome"] == "all_succeeded"
    assert batch["counts"]["succeeded"] == len(images) == len(items)
    assert sum(batch["verdicts"].values()) == len(images)
    assert [item["filename"] for item in items] == list(images)
    assert {item["attempts"] for item in items} == {1}


def test_a_client_that_asks_for_nothing_special_gets_verdicts_while_it_still_sends(
    artifact: Path, images: dict[str, bytes], tmp_path: Path
) -> None:
    many = [(f"{turn}-{name}", data) for turn in range(3) for name, data in images.items()]
    done_by_half = 0
    with running(tmp_path, [artifact]) as stack, Client(stack.url, stack.key) as client:
        database = stack.database
        query = select(func.count()).where(Item.status == ItemStatus.SUCCEEDED)

        def succeeded() -> int:
            with database.read() as connection:
                return connection.scalar(query) or 0

        def wait_at_half(sent: int, total: int) -> None:
            nonlocal done_by_half
            if not done_by_half and sent >= total / 2:
                until(lambda: succeeded() > 0, 60, "a verdict before the upload's end")
                done_by_half = succeeded()

        batch = client.submit(many, progress=wait_at_half)
        batch = client.wait(batch["id"], timeout_s=60)
        database.dispose()
    assert 0 < done_by_half < len(many)
    assert batch["counts"]["succeeded"] == len(many)


def test_a_person_sees_images_while_the_bulk_workers_are_busy_or_away(
    artifact: Path, images: dict[str, bytes], tmp_path: Path
) -> None:
    with running(tmp_path, [artifact]) as stack:
        batch = stack.finish(stack.submit(dict(list(images.items())[:2]))["id"])
        item = stack.items(batch["id"])[0]["id"]
        stack.kill_group("bulk")
        for drawing in ("image", "thumbnail"):
            status, headers, body = stack.request("GET", f"/v1/items/{item}/{drawing}")
            assert (status, headers["content-type"], body[:2]) == (200, "image/jpeg", b"\xff\xd8"), drawing
        assert stack.request("GET", f"/v1/items/{item}/heatmap")[0] == 503
