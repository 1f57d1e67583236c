"""Row 49: processes that fetch images are killed, stand still, or are never told."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.rig import CHUNK_ITEMS, WEBHOOK, Rig, rig
from tests.harness.image_server import ImageServer
from tests.harness.processes import until
from tests.harness.receivers import status

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(170)
_FETCH_S = 3.0  # a claim lasts 5 s longer
_STILL_S = 10.0  # longer than a claim; the next holder is at work when this one goes on
_SLOW_S = 2.5
_IMAGES = CHUNK_ITEMS - 1  # one transaction of the web


@pytest.fixture
def server() -> Iterator[ImageServer]:
    made = ImageServer()
    yield made
    made.close()


@pytest.mark.row(49)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_fetches_images_is_killed_stands_still_or_is_never_told(
    tmp_path: Path,
    artifact: Path,
    report_rig: Callable[[Rig], Rig],
    server: ImageServer,
    many: Many,
    kind: str,
) -> None:
    networks: dict[str, Any] = {
        "fetch_allowed_networks": "127.0.0.0/8",
        "fetch_timeout_s": _FETCH_S,
        "fetch_silence_s": _FETCH_S,
    }
    with rig(tmp_path, [artifact], kind, processes=("sweep", "bulk"), **networks) as made:
        ill = report_rig(made)
        dies = {"FAULTS_POINTS": "web.live.announcer:Announcer.send"}
        ill.restart("webhooks", "fetch.claimed=kill*2;fetch.written=kill*2", wait=False)
        ill.restart("web", "Announcer.send=kill*2", env=dies)
        with pytest.raises(OSError):
            submit(ill, server, many(2 * CHUNK_ITEMS))
        assert len(ill.unsealed()) == 1 and not ill.sealed(), "the first chunk of an upload is not the upload"
        ill.restart("web", "Announcer.send=kill*2", env=dies)
        with pytest.raises(OSError):
            submit(ill, server, many(_IMAGES))
        [first] = ill.sealed()
        ill.accepted[first] = _IMAGES
        ill.restart("web")
        killed = ill.finish(first)
        points = {name: ill.fired(name) for name in ("Announcer.send", "fetch.claimed", "fetch.written")}
        assert points == {"Announcer.send": 2, "fetch.claimed": 2, "fetch.written": 2}
        assert (killed.succeeded, killed.failed) == (_IMAGES, 0)
        ill.time_until(lambda: not ill.unsealed(), 30, "the sweep removes the upload that broke off")

        ill.fresh_points()
        ill.restart("webhooks", f"fetch.written=sleep{_STILL_S}*1", wait=False)
        batch = json.loads(submit(ill, server, many(_IMAGES)))
        ill.accepted[batch["id"]] = _IMAGES
        until(lambda: ill.fired("fetch.written"), 30, "a process stands still in the middle of its claim")
        ill.restart("webhooks-2", wait=False)
        began = time.monotonic()
        stood = ill.finish(batch["id"])
        ill.recovered(time.monotonic() - began, _FETCH_S + 5.0 + _SLOW_S + 5.0)
        assert (stood.succeeded, stood.failed) == (_IMAGES, 0)
        assert ill.fired("fetch.written") == 1
        ill.time_until(lambda: ill.event("fenced") >= 1, 20, "the holder that stood still writes nothing")
        ill.proof("4 kills of a fetching process, 2 of the web, and a holder that slept through its claim")
        ill.check(most_extra=0)


def submit(ill: Rig, server: ImageServer, files: dict[str, bytes]) -> bytes:
    """Submit the images by URL; each is served at once the first time, and slowly after that."""
    inputs = []
    for name, data in files.items():
        path = f"/{ill.points.name}/{name}"
        inputs.append({"url": server.serve(path, status(200, data), slowly(data))})
    asked = {"inputs": inputs, "options": {"webhook": WEBHOOK}}
    code, _, body = ill.stack.request(
        "POST", "/v1/batches", json.dumps(asked).encode(), Content_Type="application/json"
    )
    assert code == 202, body
    return body


def slowly(data: bytes) -> Any:
    def reply(handler: Any) -> None:
        time.sleep(_SLOW_S)
        status(200, data)(handler)

    return reply
