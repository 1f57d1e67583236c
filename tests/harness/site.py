"""A web application over a real, migrated SQLite database; a test plays the worker by the worker's own transitions."""

import contextlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from shared.access import keys
from shared.contract.operating_point import OperatingPoint
from shared.lifecycle import claims, endings, verdicts
from shared.registry import activations, versions
from shared.registry.artifact import Calibration, Preprocessing, write_artifact
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.tables import Worker
from tests.harness.databases import prepare
from web.app import create_app
from web.service import Service

ORIGIN = {"Origin": "http://localhost"}


@dataclass
class Site:
    """The application, a client without cookies, and a key of its one tenant."""

    app: Flask
    client: FlaskClient
    key: str

    @property
    def service(self) -> Service:
        here: Service = self.app.extensions["gonogo"]
        return here

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def signed_in(self) -> FlaskClient:
        """A browser that has a session."""
        client = self.app.test_client()
        client.post("/v1/session", json={"key": self.key})
        return client

    def submit(self, names: Iterable[str], **options: Any) -> dict[str, Any]:
        """Submit images over HTTP; returns the batch."""
        form: dict[str, Any] = {"options": json.dumps(options)}
        form["images"] = [(io.BytesIO(b"image of " + name.encode()), name) for name in names]
        answer = self.client.post("/v1/batches", data=form, headers=self.bearer)
        assert answer.status_code == 202, answer.text
        body: dict[str, Any] = answer.get_json()
        return body

    def decide(self, results: list[tuple[str | None, float | None, str | None]]) -> None:
        """Record (verdict, score, error code) for the items of the oldest queued chunks, in order."""
        left = list(results)
        while left:
            held = self._claim()
            recorded = []
            for item in held.items:
                verdict, score, code = left.pop(0)
                detail = "as told" if code else None
                recorded.append(verdicts.Result(item.seq, verdict, score, code, detail, 1.0, 2.0))
            with self.service.database.write() as connection:
                verdicts.record(connection, [(held, recorded)], model_sha256="0" * 64)
            with self.service.database.write() as connection:
                endings.complete(connection, held.batch_id)

    def _claim(self) -> claims.Claim:
        with self.service.database.write() as connection:
            (held,) = claims.claim(
                connection, lanes=["normal"], micro_batch=1, token="t", host="h", pid=1, lease_s=30
            )
        return held


@contextlib.contextmanager
def made_site(folder: Path) -> Iterator[Site]:
    """The application in `folder`, with one active model and one worker that never works."""
    app = create_app(_prepared(Settings(data_dir=folder)))
    here: Service = app.extensions["gonogo"]
    artifact = write_artifact(
        folder / "bolts.gonogo",
        name="bolts",
        onnx=b"graph",
        weights=b"numbers",
        preprocessing=Preprocessing(32, 32, 1),
        calibration=Calibration(1.0, 0.0),
        operating_point=OperatingPoint(0.5, 0.4, 0.6),
        card={"metrics": {"auroc": 0.9}},
    )
    identifier = versions.register(here.database, here.blobs, artifact)
    with here.database.write() as connection:
        activations.activate(connection, identifier)
        _, secret = keys.create_key(connection, tenant="plant", name="test", scopes=["admin", "metrics"])
        connection.execute(Worker.__table__.insert().values(_worker()))  # type: ignore[attr-defined]
    yield Site(app, app.test_client(use_cookies=False), secret)
    here.waiting.stop()
    here.announcer.stop(timeout_s=0)  # there is no broker to send to
    here.tallies.stop(here.database)
    here.database.dispose()


def _prepared(settings: Settings) -> Settings:
    database = Database(settings.database)
    prepare(database)
    database.dispose()
    return settings


def _worker() -> dict[str, Any]:
    return {
        "id": "host:1",
        "host": "host",
        "pid": 1,
        "lanes": ["normal"],
        "device": "cpu",
        "engine": "onnx",
        "threads": 1,
        "models": [],
        "started_at": 1.0,
        "last_seen_at": 1.0,
        "items": 0,
    }
