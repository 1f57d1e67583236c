"""An image whose decoding never ends fails alone; its neighbours are judged without an attempt lost."""

import hashlib
import time
from pathlib import Path

import pytest

from shared.lifecycle import claims
from shared.lifecycle.culprits import put_back
from tests.harness.application import Application
from tests.harness.stack import running
from worker.inference.watchdog import Watchdog

pytestmark = pytest.mark.timeout(120)
SLOW = b"decoding these bytes never ends"


def test_a_slow_image_fails_with_timeout_and_its_neighbours_keep_their_verdicts(
    tmp_path: Path, artifact: Path, images: dict[str, bytes]
) -> None:
    files = dict(list(images.items())[:6]) | {"slow.jpg": SLOW} | dict(list(images.items())[6:12])
    names = ("web", "interactive", "sweep")
    with running(tmp_path, [artifact], *names, workers=1, item_timeout_s=2.0, lease_s=60.0) as stack:
        point = f"worker.decode:{hashlib.sha256(SLOW).hexdigest()}=hang"
        stack.start("bulk", GONOGO_FAILPOINTS=point, GONOGO_FAILPOINTS_DIR=str(tmp_path))
        stack.wait_ready(60)
        began = time.monotonic()
        batch = stack.finish(stack.submit(files)["id"], 50)
        took = time.monotonic() - began
        items = {item["filename"]: item for item in stack.items(batch["id"])}
    assert items.pop("slow.jpg")["error"]["code"] == "timeout"
    assert {item["status"] for item in items.values()} == {"succeeded"}
    assert {item["attempts"] for item in items.values()} == {1}
    assert batch["counts"]["failed"] == 1
    assert took < 50, "neither the lease of 60 s nor the chunk's limit of 120 s was waited for"


def claim_two(app: Application, images: dict[str, bytes]) -> list[claims.Claim]:
    for name, data in list(images.items())[:2]:
        app.submit({name: data})
    with app.database.write() as connection:
        return claims.claim(
            connection, lanes=["normal"], micro_batch=8, token="t", host="h", pid=1, lease_s=60
        )


def test_all_chunks_in_hand_are_handed_back_at_once(app: Application, images: dict[str, bytes]) -> None:
    app.work()
    held, ended = claim_two(app, images), []
    dog = Watchdog(app.database, lambda: held, item_timeout_s=0.0, end=lambda: ended.append(True))
    with dog.item(held[0], held[0].items[0].seq):
        time.sleep(0.01)
        dog.look()
    assert ended == [True]
    app.work()
    (culprit,), (neighbour,) = (app.results(claim.batch_id) for claim in held)
    assert culprit["error"]["code"] == "timeout"
    assert (neighbour["status"], neighbour["attempts"]) == ("succeeded", 1)
    for claim in held:
        assert app.get(f"/v1/batches/{claim.batch_id}")["status"] == "completed"


def test_a_lease_that_was_lost_fails_nothing(app: Application, images: dict[str, bytes]) -> None:
    app.work()
    held = claim_two(app, images)
    for claim in held:
        with app.database.write() as connection:
            put_back(connection, claim)
    dog = Watchdog(app.database, lambda: held, item_timeout_s=0.0, end=lambda: None)
    with dog.item(held[0], held[0].items[0].seq):
        time.sleep(0.01)
        dog.look()
    app.work()
    assert all(app.results(claim.batch_id)[0]["status"] == "succeeded" for claim in held)


def test_an_item_that_is_quick_is_left_alone(app: Application, images: dict[str, bytes]) -> None:
    app.work()
    held, ended = claim_two(app, images), []
    dog = Watchdog(app.database, lambda: held, item_timeout_s=60.0, end=lambda: ended.append(True))
    with dog.item(held[0], held[0].items[0].seq):
        dog.look()
    dog.look()
    assert ended == []
    for claim in held:
        with app.database.write() as connection:
            put_back(connection, claim)
    app.work()
