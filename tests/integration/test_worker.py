"""A running installation: broken images fail alone, and a signed webhook tells how the batch ended."""

import hashlib
import io
import json
import queue
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
import torch
from PIL import Image

from shared.contract.notices import notices
from tests.harness.application import application
from tests.harness.forms import as_form, image_parts, options_part
from tests.harness.processes import until
from tests.harness.stack import Stack, running
from worker.inference.runtime import Runtime

pytestmark = pytest.mark.timeout(180)
POISON = b"the worker dies on these bytes"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Stack]:
    """Chunks of four. The bulk worker is killed whenever it decodes POISON, and one death is one too many."""
    folder = tmp_path_factory.mktemp("s")
    names = ("web", "interactive", "webhooks", "sweep")
    changed: dict[str, Any] = {"chunk_items": 4, "max_attempts": 1, "workers": 1, "drain_s": 3.0}
    with running(folder, [artifact], *names, **changed) as made:
        point = f"worker.decode:{hashlib.sha256(POISON).hexdigest()}"
        # The whole stack has this setting, so that a bulk worker which a test starts again has it as well.
        made.extra_env |= {"GONOGO_FAILPOINTS": f"{point}=kill", "GONOGO_FAILPOINTS_DIR": str(folder)}
        made.start("bulk")
        made.wait_ready(90)
        yield made


class Receiver:
    """A real HTTP server that keeps what it is sent."""

    def __init__(self) -> None:
        self.got: queue.SimpleQueue[tuple[str, dict[str, str], bytes]] = queue.SimpleQueue()
        keep = self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                keep.put((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """No noise."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/verdicts?line=3"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(scope="module")
def few(images: dict[str, bytes]) -> dict[str, bytes]:
    return dict(list(images.items())[:6])


def saved(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def test_one_signed_webhook_tells_that_the_batch_has_ended(
    stack: Stack, few: dict[str, bytes], receiver: Receiver
) -> None:
    batch = stack.submit(few, {"webhook": {"url": receiver.url}, "metadata": {"line": "A3"}})
    ended = stack.finish(batch["id"])
    path, headers, body = receiver.got.get(timeout=60)
    assert path == "/verdicts?line=3"
    event = standardwebhooks.Webhook(batch["webhook_secret"]).verify(body, headers)
    assert (event["type"], event["data"]["id"]) == ("batch.completed", batch["id"])
    for name in ("status", "outcome", "counts", "verdicts", "metadata", "finished_at"):
        assert event["data"][name] == ended[name]
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(batch["webhook_secret"]).verify(body + b" ", headers)
    with pytest.raises(queue.Empty):
        receiver.got.get(timeout=4)  # three sweeps: what was delivered is not due again


def test_the_client_may_bring_the_secret_and_name_the_events(
    stack: Stack, few: dict[str, bytes], receiver: Receiver
) -> None:
    secret = "whsec_" + "QUJD" * 10
    webhook = {"url": receiver.url, "secret": secret, "events": ["batch.failed"]}
    assert "webhook_secret" not in stack.submit({"a.jpg": b""}, {"webhook": webhook})
    _, headers, body = receiver.got.get(timeout=60)
    assert standardwebhooks.Webhook(secret).verify(body, headers)["type"] == "batch.failed"
    stack.finish(stack.submit(few, {"webhook": webhook})["id"])
    with pytest.raises(queue.Empty):
        receiver.got.get(timeout=3)


def test_images_that_cannot_be_decoded_fail_alone(stack: Stack, few: dict[str, bytes]) -> None:
    grey = Image.linear_gradient("L")
    files = {
        "good.jpg": few["part-000.jpg"],
        "cut.jpg": few["part-001.jpg"][:-400],
        "sixteen.png": saved(Image.new("I;16", (64, 64), 4000), "PNG"),
        "float.tiff": saved(grey.convert("F"), "TIFF"),
        "wide.png": saved(Image.new("1", (10_000, 6_000)), "PNG"),
        "gif.gif": saved(grey, "GIF"),
        "text.txt": b"hello",
        "good.png": saved(grey, "PNG"),
        "good.webp": saved(grey, "WEBP"),
        "good.bmp": saved(grey, "BMP"),
        "good.tiff": saved(grey, "TIFF"),
    }
    batch = stack.finish(stack.submit(files)["id"])
    assert (batch["status"], batch["outcome"]) == ("completed", "partial")
    codes = {item["filename"]: item["error"] and item["error"]["code"] for item in stack.items(batch["id"])}
    assert codes == {
        **{name: None for name in files if name.startswith("good")},
        "cut.jpg": "corrupt_image",
        "sixteen.png": "unsupported_media",
        "float.tiff": "unsupported_media",
        "wide.png": "too_many_pixels",
        "gif.gif": "unsupported_media",
        "text.txt": "unsupported_media",
    }


def test_an_image_that_kills_its_worker_fails_alone(stack: Stack, few: dict[str, bytes]) -> None:
    files = {**few, "poison.jpg": POISON, "last.jpg": few["part-000.jpg"]}
    batch = stack.finish(stack.submit(files)["id"], 120)
    items = {item["filename"]: item for item in stack.items(batch["id"])}
    assert items.pop("poison.jpg")["error"]["code"] == "poison_image"
    assert {item["status"] for item in items.values()} == {"succeeded"}
    assert batch["counts"]["failed"] == 1
    assert items["last.jpg"]["attempts"] > 1
    deaths = list(stack.folder.glob("worker.decode-*"))
    assert len(deaths) == 3  # among four, among two, alone


def test_abort_at_the_first_failure_cancels_what_has_not_begun(
    stack: Stack, images: dict[str, bytes]
) -> None:
    files = {"broken.jpg": b"\xff\xd8\xff", **images}
    form = as_form(
        *image_parts(files), options_part({"on_error": "abort"})
    )  # last, so that no chunk starts early
    _, _, body = stack.request("POST", "/v1/batches", form["data"], Content_Type=form["content_type"])
    batch = stack.finish(json.loads(body)["id"])
    assert batch["status"] == "cancelled"
    counts = batch["counts"]
    assert counts["failed"] == 1
    assert counts["cancelled"] > 0
    assert counts["total"] == counts["failed"] + counts["cancelled"] + counts["succeeded"]
    (why,) = [warning for warning in batch["warnings"] if warning["code"] == "aborted_on_error"]
    assert why["filename"] == "broken.jpg"
    assert "corrupt_image" in why["detail"]
    assert any("broken.jpg: failed with corrupt_image" in sentence for sentence in notices(batch))


def test_the_worker_that_works_says_so(stack: Stack, few: dict[str, bytes]) -> None:
    stack.finish(stack.submit(few)["id"])

    def worked() -> bool:
        workers = stack.get("/v1/workers")[1]["data"]
        return any(
            worker["items"] and worker["last_progress_at"] and worker["items_per_second"] > 0
            for worker in workers
        )

    until(worked, 30, "a heartbeat tells of the work done")


def test_a_worker_that_is_told_to_stop_leaves_the_list_and_loses_nothing(
    stack: Stack, images: dict[str, bytes]
) -> None:
    batch = stack.submit(images)
    until(lambda: stack.get(f"/v1/batches/{batch['id']}")[1]["counts"]["succeeded"], 60, "the work has begun")
    stack.kill("bulk", signal.SIGTERM, timeout_s=60)
    stopped = stack.get(f"/v1/batches/{batch['id']}")[1]
    assert stopped["counts"]["processing"] == 0  # what it held it has done or handed back

    def served() -> list[list[str]]:
        return [worker["lanes"] for worker in stack.get("/v1/workers")[1]["data"]]

    until(lambda: served() == [["interactive"]], 30, "the stopped worker is off the list")
    stack.start("bulk")
    ended = stack.finish(batch["id"], 120)
    assert ended["outcome"] == "all_succeeded"
    assert ended["counts"]["succeeded"] == ended["counts"]["total"] == len(images)


@pytest.mark.skipif(torch.cuda.is_available(), reason="here a worker of device cuda can work")
def test_a_worker_without_the_device_it_was_given_leaves_the_work_to_others(
    tmp_path: Path, artifact: Path, broker_url: str, few: dict[str, bytes]
) -> None:
    with application(tmp_path, artifact, broker_url, device="cuda") as app:
        batch_id = app.submit(few)["id"]
        app.work()
        waiting = app.get(f"/v1/batches/{batch_id}")
        assert (waiting["counts"]["queued"], waiting["counts"]["processing"]) == (len(few), 0)
        app.runtime = Runtime(replace(app.service.settings, device="cpu"), app.service.celery)

        def worked() -> bool:
            app.work()
            return bool(app.get(f"/v1/batches/{batch_id}")["outcome"] == "all_succeeded")

        until(worked, 60, "another worker does it, though not at once")
        assert {item["attempts"] for item in app.results(batch_id)} == {1}
