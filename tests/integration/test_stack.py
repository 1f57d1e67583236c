"""The whole chain on both databases: upload, queue, worker, verdict rows, poll."""

from pathlib import Path

import pytest

from tests.stack import running

pytestmark = pytest.mark.timeout(120)


def test_every_picture_of_a_batch_gets_one_verdict(
    database_url: str, artifact: Path, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    with running(tmp_path, [artifact], database_url=database_url) as stack:
        batch = stack.finish(stack.submit(pictures, {"metadata": {"line": "A3"}})["id"])
        items = stack.items(batch["id"])
    assert batch["status"] == "completed"
    assert batch["outcome"] == "all_succeeded"
    assert batch["counts"]["succeeded"] == len(pictures) == len(items)
    assert sum(batch["verdicts"].values()) == len(pictures)
    assert [item["filename"] for item in items] == list(pictures)
    assert {item["attempts"] for item in items} == {1}
