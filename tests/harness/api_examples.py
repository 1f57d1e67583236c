"""A request and its answer for each operation, from a real application: `python -m tests.harness.api_examples`.

Writes web/openapi/examples.json, which the service shows, and docs/api.md. Ids, times, hashes and secrets of the
answers are replaced, so that two runs write the same.
"""

import json
import re
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from sqlalchemy import update

from shared.access import keys
from shared.blobs.store import Drawing
from shared.contract.scopes import SCOPES
from shared.contract.states import DeliveryStatus
from shared.lifecycle import claims, endings, shadows, verdicts
from shared.registry import versions
from shared.registry.artifact import read_artifact
from shared.store.tables import Delivery
from tests.harness import api_page, drifting
from tests.harness.artifacts import write_untrained
from tests.harness.forms import Part, as_form
from tests.harness.site import Site, made_site

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/api.md"
EXAMPLES = ROOT / "web/openapi/examples.json"
SHOWN_HEADERS = ("Location", "ETag", "Retry-After", "Content-Type", "Content-Disposition", "X-Incomplete")
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_ID = re.compile(r"\b([a-z]{3})_[0-9a-z]{26,32}\b")
_REPLACED = (
    (re.compile(r"\b[0-9a-f]{64}\b"), _SHA256),
    (re.compile(r"\b[0-9a-f]{32}\b"), "0af7651916cd43dd8448eb211c80319c"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "2026-11-24T10:00:00.000Z"),
    (re.compile(r"gng_[0-9a-z_]+"), "gng_0123456789ab_…"),
    (re.compile(r"whsec_[A-Za-z0-9+/=]+"), "whsec_…"),
)
_MEASURED = {
    "measured_s": 12.0, "idle_s": 0.0,
    "next_cursor": "eyJ…", "items_per_second": 41.7, "queue_ms": 3.1, "decode_ms": 1.2, "infer_ms": 2.4,
    "latency_ms": 12.5, "hash": _SHA256, "previous": _SHA256, "address": "127.0.0.1", "prefix": "0123456789ab",
}  # fmt: skip
_LONGEST_TEXT = 600


class Recorder:
    """Sends requests to a site and keeps each with its answer, by the name of the operation."""

    def __init__(self, site: Site) -> None:
        self.site, self.examples, self._ids = site, dict[str, Any](), dict[str, str]()
        self.named = {  # operationId → method and path
            each["operationId"]: (method.upper(), path)
            for path, methods in site.client.get("/openapi.json").get_json()["paths"].items()
            for method, each in methods.items()
        }

    def ask(self, operation: str, query: str = "", *, shown: str = "", key: bool = True, **call: Any) -> Any:
        """Send a request. `shown` is its body as curl takes it; other names in `call` fill the path."""
        method, template = self.named[operation]
        path = template
        for name in re.findall(r"{(\w+)}", template):
            path = path.replace(f"{{{name}}}", call.pop(name))
        headers = {**(self.site.bearer if key else {}), **call.pop("headers", {})}
        answer = self.site.client.open(path + query, method=method, headers=headers, **call)
        # No worker and no broker run here: /readyz says so.
        assert answer.status_code < 400 or operation == "readyz", (operation, answer.text)
        body = answer.get_json() if answer.is_json else answer.get_data()
        text = None
        if isinstance(body, bytes):  # replaced before the cut, which may go through an id
            text = self._plain(body.decode(errors="replace"))[:_LONGEST_TEXT]
        if (answer.mimetype or "").startswith(("image/", "application/zip")):
            text = "(bytes)"
        if operation == "metrics" and text is not None:  # its numbers are those of this process
            text = "\n".join([line for line in text.split("\n")[:-1] if line.startswith("#")])
        self.examples[operation] = {
            "request": self._plain(_curl(method, path + query, shown, call.get("json"), key=key)),
            "status": answer.status_code,
            "headers": {
                name: self._plain(answer.headers[name]) for name in SHOWN_HEADERS if name in answer.headers
            },
            "body": self._plain(body if text is None else text),
        }
        return body

    def _plain(self, value: Any, name: str = "") -> Any:
        """The value without what differs from run to run."""
        if isinstance(value, dict):
            return {key: self._plain(each, key) for key, each in value.items()}
        if isinstance(value, list):
            return [self._plain(each) for each in value]
        if name in _MEASURED and value is not None and not isinstance(value, bool):
            return _MEASURED[name]
        if not isinstance(value, str):
            return value
        for pattern, replacement in _REPLACED:
            value = pattern.sub(replacement, value)
        return _ID.sub(self._id, value)

    def _id(self, found: re.Match[str]) -> str:
        return self._ids.setdefault(found[0], f"{found[1]}_01m8m8ckxveb6vr73w3p8v{len(self._ids):04d}")


def _curl(method: str, path: str, shown: str, body: Any, *, key: bool) -> str:
    words = ["curl", *([] if method == "GET" else [f"-X {method}"])]
    words += ['-H "Authorization: Bearer $KEY"'] if key else []
    if body is not None:
        words += ["-H 'Content-Type: application/json'", f"-d '{json.dumps(body)}'"]
    words += [shown] if shown else []
    return " ".join([*words, f'"$URL{path}"'])


def _form(*names: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
    parts: list[Part] = [("options", None, json.dumps(options).encode())] if options is not None else []
    parts += [("images", name, b"image of " + name.encode()) for name in names]
    fields = [f"-F options='{json.dumps(options)}'"] if options is not None else []
    return {**as_form(*parts), "shown": " ".join(fields + [f"-F images=@{name}" for name in names])}


def record(folder: Path) -> dict[str, Any]:
    """The examples of all operations."""
    with made_site(folder) as site:
        with site.service.database.write() as connection:
            site.key = keys.create_key(connection, tenant="plant", name="operator", scopes=SCOPES)[1]
        here = Recorder(site)
        _batches(here)
        _reviews(here)
        _models(here, folder)
        _drift(here)
        _keys(here)
        _webhooks(here)
        _service(here)
    return here.examples


def _batches(here: Recorder) -> None:
    made = here.ask("submit", **_form("top.jpg", "side.jpg", options={"lot": "4711", "line": "A3"}))
    batch = {"batch_id": made["id"]}
    here.ask("pause_batch", **batch)
    here.ask("resume_batch", **batch)
    here.site.decide([("defect", 0.93, None), (None, None, "inference_failed")])
    here.ask("get_batch", "?wait=30", **batch)
    here.ask("list_batches", "?lot=4711&limit=1")
    items = here.ask("list_items", "?sort=-score&limit=2", **batch)["data"]
    here.ask("get_item", item_id=items[0]["id"])
    service = here.site.service
    first = next(each["id"] for each in items if each["filename"] == "top.jpg")
    kinds: dict[str, Drawing] = {"get_thumbnail": "thumbnail", "get_image": "image", "get_heatmap": "heatmap"}
    for operation, kind in kinds.items():
        service.blobs.put(service.blobs.drawing_path(kind, made["id"], 0), b"a drawing")
        here.ask(operation, item_id=first, shown=f"-o {kind}.{'png' if kind == 'heatmap' else 'jpg'}")
    here.ask("get_results", "?format=csv", **batch)
    here.ask("follow_batch", shown="-N", headers={"Last-Event-ID": "1"}, **batch)
    here.ask("rescore_batch", json={"threshold": 0.95, "review_band": [0.9, 0.96]}, **batch)
    here.ask("list_rescorings", **batch)
    here.ask("get_scores", **batch)
    again = here.ask("rerun_batch", json={"model": "bolts"}, **batch)
    here.ask("diff_batches", other_id=again["id"], **batch)
    here.ask("retry_batch", **batch)
    here.ask("cancel_batch", **batch)
    draft = {"batch_id": here.ask("submit", "?draft=true", **_form(options={"name": "shift 2"}))["id"]}
    here.ask("append_items", "?part_number=1", **draft, **_form("a.jpg", "b.jpg"))
    text = "filename,part_id,view\na.jpg,SN-0001,top\nb.jpg,SN-0001,side\n"
    csv: dict[str, Any] = {
        "content_type": "text/csv",
        "shown": "-H 'Content-Type: text/csv' --data-binary @manifest.csv",
    }
    here.ask("put_manifest", data=text, **csv, **draft)
    here.ask("finalize_batch", **draft)
    here.site.decide([("no_defect", 0.08, None), ("review", 0.47, None)])
    here.ask("list_batch_parts", **draft)
    here.ask("list_parts", "?part_id=SN-0001")
    here.ask("delete_batch", **draft)
    here.ask("submit", **_form("top.jpg", "side.jpg", options={"lot": "4711", "line": "A3"}))
    judge = threading.Thread(target=_judge_one, args=(here.site,))
    judge.start()
    form = {**as_form(("file", "part.jpg", b"image of part.jpg")), "shown": "-F file=@part.jpg"}
    here.ask("predict", **form)
    judge.join(30)


def _reviews(here: Recorder) -> None:
    here.site.submit(["rim.jpg", "disc.jpg", "hub.jpg"], line="A3")
    passed: Any = ("no_defect", 0.04, None)  # the batch before
    here.site.decide([passed, passed, *[("review", 0.47, None)] * 3])
    task = here.ask("take_next_review", json={"line": "A3"})
    item = {"item_id": task["item"]["id"]}
    asked = {"verdict": "defect", "note": "scratch at the rim", "claim": task["claim"]}
    here.ask("review_item", json=asked, **item)
    here.ask("list_reviews", "?status=done")
    here.ask("export_reviews", "?line=A3", shown="-o reviews.zip")
    here.ask("get_agreement", "?window=86400&by=line")
    here.ask("take_back_review", **item)
    here.ask("skip_review", json={"claim": task["claim"]}, **item)


def _judge_one(site: Site) -> None:
    """Play the worker of the interactive lane for one image."""
    stop = threading.Event()
    while not stop.wait(0.05):
        with site.service.database.write() as connection:
            held = claims.claim(
                connection, lanes=["interactive"], micro_batch=1, token="p", host="h", pid=1, lease_s=30
            )
        for one in held:
            result = verdicts.Result(one.items[0].seq, "no_defect", 0.04, None, None, 1.0, 2.0)
            with site.service.database.write() as connection:
                verdicts.record(connection, [(one, [result])], model_sha256=_SHA256)
            with site.service.database.write() as connection:
                endings.complete(connection, one.batch_id)
            site.service.waiting.wake(one.batch_id)
            return


def _models(here: Recorder, folder: Path) -> None:
    artifact = read_artifact(write_untrained(folder / "other.gonogo", seed=3))
    octets: dict[str, Any] = {"content_type": "application/octet-stream"}
    here.ask(
        "upload_model", "?without_guard=true", data=artifact.path.read_bytes(), **octets,
        shown="-H 'Content-Type: application/octet-stream' --data-binary @parts.gonogo",
    )  # fmt: skip
    active = next(each for each in here.ask("list_models")["data"] if each["active"])
    service = here.site.service
    other = read_artifact(write_untrained(folder / "ready.gonogo", seed=4))
    ready = versions.register(service.database, service.blobs, other, tenant="plant")
    here.ask("activate_model", model_id=active["id"])
    here.ask("activate_model", model_id=ready)
    here.ask("rollback_model", model_id=active["id"])
    here.ask("get_card", model_id=active["id"])
    _shadow(here, ready)


def _shadow(here: Recorder, candidate: str) -> None:
    shadow = here.ask("start_shadow", json={"candidate": candidate, "share": 1.0})
    batch_id = here.site.submit(["a.jpg", "b.jpg"])["id"]
    here.site.decide([("defect", 0.93, None), ("no_defect", 0.04, None)])
    taken = shadows.Taken(shadow["id"], candidate, batch_id, (), -1)
    with here.site.service.database.write() as connection:
        shadows.keep(
            connection, taken, [shadows.Scored(0, "defect", 0.97), shadows.Scored(1, "defect", 0.61)]
        )
    here.ask("list_shadows")
    here.ask("get_shadow", shadow_id=shadow["id"])
    here.ask("stop_shadow", shadow_id=shadow["id"])


def _drift(here: Recorder) -> None:
    models = here.site.client.get("/v1/models", headers=here.site.bearer).get_json()["data"]
    with here.site.service.database.write() as connection:
        drifting.look(connection, "plant", models[0]["id"], "A3", drifted=True)
    here.ask("list_drift", "?line=A3")


def _keys(here: Recorder) -> None:
    made = here.ask("create_key", json={"name": "line 3", "scopes": ["submit", "read"]})
    here.ask("rotate_key", json={"grace": 3600}, key_id=made["id"])
    here.ask("list_keys")
    here.ask("revoke_key", key_id=made["id"])
    here.ask("show_quotas")
    here.ask("set_quotas", "?tenant=plant", json={"open_items": 50000})
    here.ask("list_audit", "?action=key.create&limit=1")
    here.ask("create_session", key=False, json={"key": here.site.key}, headers={"Origin": "http://localhost"})
    here.ask("delete_session", key=False, shown="-b cookies.txt")


def _webhooks(here: Recorder) -> None:
    asked = {"url": "https://receiver.example/gonogo", "events": ["batch.completed", "part.completed"]}
    endpoint = {"endpoint_id": here.ask("create_webhook_endpoint", json=asked)["id"]}
    here.ask("get_webhook_endpoint", **endpoint)
    here.ask("change_webhook_endpoint", json={"filters": {"verdict": ["defect"]}}, **endpoint)
    here.ask("ping_webhook_endpoint", **endpoint)
    here.ask("list_webhook_endpoints")
    deliveries = here.ask("list_endpoint_deliveries", **endpoint)["data"]
    here.ask("list_webhook_deliveries", "?limit=1")
    here.ask("get_webhook_delivery", delivery_id=deliveries[0]["id"])
    here.ask("rotate_webhook_secret", json={}, **endpoint)
    with here.site.service.database.write() as connection:
        ended = {"status": DeliveryStatus.EXHAUSTED, "finished_at": time.time()}
        connection.execute(update(Delivery).values(ended))
    here.ask("redeliver_webhook", delivery_id=deliveries[0]["id"])
    here.ask("replay_webhooks", json={"since": "2026-11-24T06:00:00Z"}, **endpoint)
    here.ask("delete_webhook_endpoint", **endpoint)


def _service(here: Recorder) -> None:
    here.ask("list_workers")
    here.ask("livez", key=False)
    here.ask("readyz", key=False)
    here.ask("metrics")


def text_of(examples: dict[str, Any]) -> str:
    """The file of the examples."""
    return json.dumps(examples, indent=1, ensure_ascii=False) + "\n"


def write() -> None:
    """Write the examples, and the page that shows them."""
    with tempfile.TemporaryDirectory() as folder:
        EXAMPLES.write_text(text_of(record(Path(folder))), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, made_site(Path(folder)) as site:
        document = site.client.get("/openapi.json").get_json()
    PAGE.write_text(
        api_page.page(document, json.loads(EXAMPLES.read_text(encoding="utf-8"))), encoding="utf-8"
    )


if __name__ == "__main__":
    write()
    sys.exit(0)
