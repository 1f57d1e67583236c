"""Everything that makes a program of the service speak to the broker, in a running stack."""

import json
import signal
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

from tests.harness.image_server import ImageServer
from tests.harness.images import jpegs
from tests.harness.processes import ROOT, until
from tests.harness.receivers import Receiver, status
from tests.harness.stack import Stack

_MODEL = ROOT / "shared/registry/published/rendered-parts/rendered-parts.gonogo"


def walk(stack: Stack, worker: str, command: list[str]) -> None:
    """Submit, pause, resume, cancel, predict, draw, fetch, try a model, stream, and let the worker die and drain."""
    images = dict(jpegs(600, seed=3))
    receiver, pictures = Receiver(), ImageServer()
    try:
        with stack.client() as client:
            client.create_webhook({"url": receiver.url, "events": ["batch.completed"]})
        _model(stack)
        first = stack.submit(images)["id"]
        with _events(stack, first) as events:
            _post(stack, f"/v1/batches/{first}/pause")
            _post(stack, f"/v1/batches/{first}/resume")
            stack.kill_group(worker, signal.SIGKILL)
            stack.spawn(worker, command)
            stack.finish(first, 120)
            assert b"event: end" in events.read()
        second = stack.submit(images)["id"]
        _post(stack, f"/v1/batches/{second}/cancel")
        stack.kill_group(worker, signal.SIGTERM)
        few = [stack.submit({name: data})["id"] for name, data in list(images.items())[:12]]
        stack.spawn(worker, command)  # it claims the small batches together, and takes their messages back
        for batch_id in (second, *few):
            stack.finish(batch_id, 120)
        name, image = next(iter(images.items()))
        url = pictures.serve(f"/{name}", status(200, image))
        fetched = _post(stack, "/v1/batches", {"inputs": [{"url": url}]})["id"]
        assert stack.finish(fetched, 60)["counts"]["succeeded"] == 1
        assert stack.request("POST", "/v1/predict", image, Content_Type="image/jpeg")[0] == 200
        item = stack.items(first)[0]["id"]
        for drawing in ("thumbnail", "heatmap"):
            until(partial(_is_drawn, stack, f"/v1/items/{item}/{drawing}"), 30, drawing)
        until(lambda: receiver.posts, 30, "a webhook arrives")
    finally:
        receiver.close()
        pictures.close()


def _post(stack: Stack, path: str, body: Any = None) -> Any:
    data = b"" if body is None else json.dumps(body).encode()
    code, _, answer = stack.request("POST", path, data, Content_Type="application/json")
    assert code in (200, 201, 202), answer
    return json.loads(answer)


def _is_drawn(stack: Stack, path: str) -> bool:
    return stack.request("GET", path)[0] == 200


def _events(stack: Stack, batch_id: str) -> Any:
    asked = urllib.request.Request(f"{stack.url}/v1/batches/{batch_id}/events")
    asked.add_header("Authorization", f"Bearer {stack.key}")
    return urllib.request.urlopen(asked, timeout=120)


def _model(stack: Stack) -> None:
    """Upload a model, whose trial a worker begins."""
    made = stack.request(
        "POST", "/v1/models", Path(_MODEL).read_bytes(), Content_Type="application/octet-stream"
    )
    assert made[0] in (200, 201), made[2]
