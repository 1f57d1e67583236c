"""The client has a method for each operation of the served document, whatever endpoint is added later."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Response, request
from werkzeug.serving import WSGIRequestHandler, make_server

from shared.client import ApiError, Client, UnusableInput
from tests.harness.site import made_site

LEFT_OUT = {
    "create_session": "for browsers, whose scripts must not hold a key",
    "delete_session": "for browsers",
    "predict_alias": "another path of /v1/predict",
}
JPEG = ("a.jpg", b"\xff\xd8\xff a file that claims to be an image")
BATCH, ITEM, MODEL, KEY, SHADOW = "bat_0", "itm_0", "mdl_0", "key_0", "shd_0"
ENDPOINT, DELIVERY = "whe_0", "whd_0"
CALLS: list[tuple[str, Callable[[Client], Any]]] = [
    ("submit", lambda here: here.submit([JPEG])),
    ("submit_inputs", lambda here: here.submit_inputs([{"data": "data:image/png;base64,AAAA"}])),
    ("predict", lambda here: here.predict(("a.jpg", b""))),
    ("draft", lambda here: here.draft()),
    ("append", lambda here: here.append(BATCH, 1, [JPEG])),
    ("put_manifest", lambda here: here.put_manifest(BATCH, b"filename\na.jpg\n")),
    ("finalize", lambda here: here.finalize(BATCH)),
    ("batch", lambda here: here.batch(BATCH)),
    ("watch", lambda here: list(here.watch(BATCH))),
    ("wait", lambda here: here.wait(BATCH)),
    ("batches", lambda here: list(here.batches(status=["queued", "draft"], metadata={"shift": "early"}))),
    ("cancel", lambda here: here.cancel(BATCH)),
    ("pause", lambda here: here.pause(BATCH)),
    ("resume", lambda here: here.resume(BATCH)),
    ("retry", lambda here: here.retry(BATCH)),
    ("rescore", lambda here: here.rescore(BATCH, threshold=0.5, dry_run=True)),
    ("scores", lambda here: here.scores(BATCH)),
    ("rerun", lambda here: here.rerun(BATCH, model=MODEL)),
    ("diff", lambda here: list(here.diff(BATCH, "bat_1"))),
    ("diff_counts", lambda here: here.diff_counts(BATCH, "bat_1")),
    ("rescorings", lambda here: here.rescorings(BATCH)),
    ("delete", lambda here: here.delete(BATCH)),
    ("events", lambda here: list(here.events(BATCH))),
    ("items", lambda here: list(here.items(BATCH, verdict=["defect", "review"]))),
    ("item", lambda here: here.item(ITEM)),
    ("thumbnail", lambda here: here.thumbnail(ITEM)),
    ("image", lambda here: here.image(ITEM)),
    ("heatmap", lambda here: here.heatmap(ITEM)),
    ("parts", lambda here: list(here.parts(BATCH))),
    ("parts", lambda here: list(here.parts(part_id="SN-1"))),
    ("reviews", lambda here: list(here.reviews(status="waiting"))),
    ("agreement", lambda here: here.agreement(by=["line"])),
    ("review_export", lambda here: here.review_export().__enter__()),
    ("next_review", lambda here: here.next_review(line="A3")),
    ("review_item", lambda here: here.review_item(ITEM, "defect", note="a crack")),
    ("take_back_review", lambda here: here.take_back_review(ITEM)),
    ("skip_review", lambda here: here.skip_review(ITEM)),
    ("results", lambda here: list(here.results(BATCH))),
    ("results_file", lambda here: here.results_file(BATCH).__enter__()),
    ("models", lambda here: list(here.models())),
    ("upload_model", lambda here: here.upload_model(Path(__file__))),
    ("activate_model", lambda here: here.activate_model(MODEL)),
    ("rollback_model", lambda here: here.rollback_model(MODEL)),
    ("model_card", lambda here: here.model_card(MODEL)),
    ("shadows", lambda here: list(here.shadows())),
    ("start_shadow", lambda here: here.start_shadow(MODEL, share=0.5)),
    ("shadow", lambda here: here.shadow(SHADOW)),
    ("stop_shadow", lambda here: here.stop_shadow(SHADOW)),
    ("keys", lambda here: list(here.keys())),
    ("create_key", lambda here: here.create_key("a", ["read"])),
    ("rotate_key", lambda here: here.rotate_key(KEY)),
    ("delete_key", lambda here: here.delete_key(KEY)),
    ("audit", lambda here: list(here.audit(limit=1))),
    ("quotas", lambda here: here.quotas()),
    ("set_quotas", lambda here: here.set_quotas({})),
    ("webhooks", lambda here: list(here.webhooks())),
    ("webhook", lambda here: here.webhook(ENDPOINT)),
    ("create_webhook", lambda here: here.create_webhook({"url": "https://receiver.example/hook"})),
    ("change_webhook", lambda here: here.change_webhook(ENDPOINT, {"enabled": True})),
    ("delete_webhook", lambda here: here.delete_webhook(ENDPOINT)),
    ("rotate_webhook_secret", lambda here: here.rotate_webhook_secret(ENDPOINT)),
    ("test_webhook", lambda here: here.test_webhook(ENDPOINT)),
    ("replay_webhooks", lambda here: here.replay_webhooks(ENDPOINT, since="2026-11-24T10:00:00Z")),
    ("webhook_deliveries", lambda here: list(here.webhook_deliveries(status=["exhausted"]))),
    ("webhook_deliveries", lambda here: list(here.webhook_deliveries(ENDPOINT))),
    ("webhook_delivery", lambda here: here.webhook_delivery(DELIVERY)),
    ("redeliver_webhook", lambda here: here.redeliver_webhook(DELIVERY)),
    ("workers", lambda here: list(here.workers())),
    ("drift", lambda here: list(here.drift(line="A3"))),
    ("metrics", lambda here: here.metrics()),
    ("alive", lambda here: here.alive()),
    ("ready", lambda here: here.ready()),
    ("readiness", lambda here: here.readiness()),
]


class _Silent(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None: ...


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Client, dict[str, int], set[str]]]:
    """A client of a real application, the status of the latest answer of each operation, and all operations."""
    statuses: dict[str, int] = {}
    with made_site(tmp_path) as site:

        @site.app.after_request
        def note(response: Response) -> Response:
            statuses[str(request.endpoint).partition(".")[2]] = response.status_code
            return response

        paths = site.client.get("/openapi.json").get_json()["paths"]
        operations = {each["operationId"] for methods in paths.values() for each in methods.values()}
        server = make_server("127.0.0.1", 0, site.app, threaded=True, request_handler=_Silent)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with Client(f"http://127.0.0.1:{server.server_port}", site.key, patience_s=0.0) as client:
            yield client, statuses, operations
        server.shutdown()
        thread.join(30)
        server.server_close()


def test_the_client_has_a_method_for_each_operation(
    served: tuple[Client, dict[str, int], set[str]],
) -> None:
    client, statuses, operations = served
    statuses.clear()
    for _, call in CALLS:
        with contextlib.suppress(ApiError):
            call(client)
    assert operations - set(statuses) == {*LEFT_OUT}, "each operation has a method of the client"
    assert not [name for name, status in statuses.items() if status == 405]


def test_each_method_of_the_client_is_among_the_calls() -> None:
    public = {name for name in dir(Client) if not name.startswith("_")} - {"url", "close"}
    assert public == {name for name, _ in CALLS}


def test_an_id_that_is_none_is_refused_before_a_request() -> None:
    with Client("http://127.0.0.1:9", "key") as client:
        for call in (client.batch, client.item, client.model_card, client.delete_key, client.finalize):
            with pytest.raises(UnusableInput, match="is no id"):
                call("../admin")
