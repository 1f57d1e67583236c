"""The served document is true: schemathesis generates requests from it and checks every answer against it.

`make fuzz` gives it ten minutes.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Response, request
from sqlalchemy import select, update
from werkzeug.serving import WSGIRequestHandler, make_server

from shared.blobs.store import Drawing
from shared.contract.states import ChunkStatus, DeliveryStatus, Lane
from shared.registry import activations, versions
from shared.registry.artifact import read_artifact
from shared.store.engine import clock
from shared.store.tables import Chunk, Delivery, Item, Worker
from tests.harness.application import Application, application
from tests.harness.artifacts import write_untrained
from tests.harness.forms import image_parts
from tests.harness.shadows import register_candidate, stopped_shadow
from web.live import streams

ROOT = Path(__file__).parents[2]
CONFIG = """
[generation]
allow-x00 = false

[phases.stateful.inference]
algorithms = []

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "406", "409", "410", "422", "429", "503"]
"""


class _Silent(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None: ...


@pytest.fixture
def served(
    tmp_path: Path, artifact: Path, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Application, str, Any]]:
    """An installation behind a real socket, with a worker; and the statuses that each operation answered."""
    # A stream of a batch that runs goes on for longer than a generated request may take: it ends after a moment.
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr("web.api.events.lasting", lambda _scope: lambda: False)
    statuses: defaultdict[str, Counter[int]] = defaultdict(Counter)
    with application(tmp_path, artifact, broker_url) as app:

        @app.flask.after_request
        def note(response: Response) -> Response:
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(request.url_rule))
            statuses[f"{request.method} {path}"][response.status_code] += 1
            return response

        server = make_server("127.0.0.1", 0, app.flask, threaded=True, request_handler=_Silent)
        stop = threading.Event()
        threads = [
            threading.Thread(target=server.serve_forever),
            threading.Thread(target=work, args=(app, stop)),
        ]
        for thread in threads:
            thread.start()
        yield app, f"http://127.0.0.1:{server.server_port}", statuses
        stop.set()
        server.shutdown()
        for thread in threads:
            thread.join(30)
        server.server_close()


def work(app: Application, stop: threading.Event) -> None:
    """Work as workers do, except for the lane `low`: its batches stay open, so that they can be cancelled."""
    beaten = 0.0
    while not stop.wait(0.05):
        if time.monotonic() - beaten > 2:
            beaten = time.monotonic()
            with app.database.write() as connection:
                connection.execute(update(Worker).values(last_seen_at=clock()))
        for lane in (Lane.INTERACTIVE, Lane.NORMAL):
            app.work(lane)
        with app.database.read() as connection:
            items = connection.execute(select(Item.batch_id, Item.seq)).all()
        kinds: tuple[Drawing, ...] = ("thumbnail", "image", "heatmap")
        drawing = app.service.blobs.drawing_path
        for path in (drawing(kind, batch_id, seq) for batch_id, seq in items for kind in kinds):
            if not path.exists():
                with contextlib.suppress(FileNotFoundError):  # its batch is deleted at this moment
                    app.service.blobs.put(path, b"\xff\xd8 a drawn JPEG")


def known_things(app: Application, folder: Path, images: dict[str, bytes]) -> dict[str, Any]:
    """Things that valid requests name: open and ended batches, an item, keys, models."""
    data = next(iter(images.values()))
    waiting = [app.submit({"a.jpg": data}, {"priority": "low"})["id"] for _ in range(60)]
    with app.database.write() as connection:  # a worker that fills its micro-batch would take them otherwise
        leased = {"status": ChunkStatus.LEASED, "token": "never", "lease_until": clock() + 3600}
        connection.execute(update(Chunk).where(Chunk.batch_id.in_(waiting)).values(leased))
    drafts = [
        app.post_form("/v1/batches?draft=true", *image_parts({"a.jpg": data})).get_json()["id"]
        for _ in range(30)
    ]
    ended = [app.finished({"a.jpg": data})["id"] for _ in range(3)]
    item = app.results(ended[0])[0]["id"]
    made = [app.call("POST", "/v1/api-keys", json={"name": "x"}).get_json()["id"] for _ in range(90)]
    other = folder / "other.gonogo"
    other.write_bytes(write_untrained(folder / "made.gonogo", seed=3).read_bytes())
    alive = {"id": "host:1", "host": "host", "pid": 1, "lanes": list(Lane), "device": "cpu", "engine": "onnx",
             "threads": 1, "models": [], "started_at": 1.0, "last_seen_at": time.time(), "items": 0}  # fmt: skip
    with app.database.write() as connection:
        connection.execute(Worker.__table__.insert().values(alive))  # type: ignore[attr-defined]
    second = versions.register(
        app.database,
        app.service.blobs,
        read_artifact(write_untrained(folder / "second.gonogo", seed=4)),
        tenant="default",
    )
    with app.database.write() as connection:
        for model_id in (app.model_id, second):
            activations.activate(connection, model_id, "default")
    ids = {
        "batch_id": [ended[0]],
        "DELETE /v1/batches/{batch_id} batch_id": ended[1:],
        "POST /v1/batches/{batch_id}/cancel batch_id": waiting[:20],
        "POST /v1/batches/{batch_id}/pause batch_id": waiting[20:40],
        "POST /v1/batches/{batch_id}/resume batch_id": waiting[40:],
        "POST /v1/batches/{batch_id}/items batch_id": drafts[:3],
        "PUT /v1/batches/{batch_id}/manifest batch_id": drafts[:3],
        "POST /v1/batches/{batch_id}/finalize batch_id": drafts[3:],
        "item_id": [item],
        "other_id": ended[:1],
        "key_id": made[:30],
        "POST /v1/api-keys/{key_id}/rotate key_id": made[30:],
        "model_id": [app.model_id],
        "POST /v1/models/{model_id}/activate model_id": [second],
    }
    hooks = [
        app.call("POST", "/v1/webhook-endpoints", json={"url": "https://receiver.example/x"}).get_json()["id"]
        for _ in range(30)
    ]
    pings = [app.call("POST", f"/v1/webhook-endpoints/{hooks[0]}/test").get_json()["id"] for _ in range(30)]
    with app.database.write() as connection:  # no worker sends them
        connection.execute(update(Delivery).values(status=DeliveryStatus.EXHAUSTED))
    ids |= {
        "endpoint_id": hooks[:1],
        "DELETE /v1/webhook-endpoints/{endpoint_id} endpoint_id": hooks[1:],
        "PATCH /v1/webhook-endpoints/{endpoint_id} endpoint_id": hooks[1:2],
        "delivery_id": pings,
        "shadow_id": [stopped_shadow(app)],
    }
    candidate = register_candidate(app, folder, seed=5)
    return {"ids": ids, "key": app.key, "artifact": str(other), "candidate": candidate}


@pytest.mark.timeout(1200)
def test_every_answer_to_generated_requests_is_as_the_document_says(
    served: tuple[Application, str, Any], images: dict[str, bytes], tmp_path: Path
) -> None:
    app, url, statuses = served
    known, config = tmp_path / "known.json", tmp_path / "schemathesis.toml"
    known.write_text(json.dumps(known_things(app, tmp_path, images)))
    config.write_text(CONFIG)
    statuses.clear()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.harness.schemathesis_hooks",
        "KNOWN_THINGS": str(known),
    }
    operations = {
        f"{method.upper()} {path}"
        for path, methods in app.call("GET", "/openapi.json").get_json()["paths"].items()
        for method in methods
    }
    reached: set[str] = set()
    for seconds in (25, 50, 100, 200):  # a busy machine gets to fewer of them in the same time
        ran = subprocess.run(
            [str(part) for part in generated(app, url, config, seconds)],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2000:]
        reached = {name for name in operations if any(200 <= status < 300 for status in statuses[name])}
        if len(reached) >= 0.95 * len(operations):
            return
    raise AssertionError(f"no request got an answer of 2xx from {sorted(operations - reached)}")


def generated(app: Application, url: str, config: Path, seconds: int) -> list[object]:
    """The command that generates requests for so many seconds."""
    return [
        Path(sys.executable).with_name("st"), "--config-file", config, "run", f"{url}/openapi.json",
        "--header", f"Authorization: Bearer {app.key}", "--checks", "all", "--max-examples", "5", "--seed", "1",
        "--phases", "examples,coverage,fuzzing,stateful", "--max-time", os.environ.get("GONOGO_DOCUMENT_S", seconds),
        "--request-timeout", "60", "--max-response-time", "60", "--no-shrink", "--no-color",
    ]  # fmt: skip
