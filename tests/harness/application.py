"""The web application in the test's own process: real database, real Valkey, and a worker that runs when told."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from shared.access import keys
from shared.blobs.store import BlobStore
from shared.contract.scopes import SCOPES
from shared.registry import activations, versions
from shared.registry.artifact import read_artifact
from shared.settings import Settings
from shared.store.engine import Database
from tests.harness.databases import prepare
from tests.harness.forms import Part, as_form, image_parts, options_part
from web.app import create_app
from web.service import Service
from worker.inference.infer import infer_chunks
from worker.inference.runtime import Runtime
from worker.trials import try_model


@dataclass
class Application:
    """An installation. `key` may do everything in the tenant `default`."""

    flask: Flask
    runtime: Runtime
    key: str
    model_id: str

    @property
    def service(self) -> Service:
        made: Service = self.flask.extensions["gonogo"]
        return made

    @property
    def database(self) -> Database:
        return self.service.database

    @contextlib.contextmanager
    def under(self, **changed: Any) -> Iterator[None]:
        """Serve requests under changed settings meanwhile."""
        here = self.service
        self.flask.extensions["gonogo"] = replace(here, settings=replace(here.settings, **changed))
        try:
            yield
        finally:
            self.flask.extensions["gonogo"] = here

    @contextlib.contextmanager
    def caching(self) -> Iterator[None]:
        """Meanwhile, the worker gives known images their scores. Else each image is judged, as most tests expect."""
        before = self.runtime.settings
        self.runtime.settings = replace(before, cache="on")
        try:
            yield
        finally:
            self.runtime.settings = before

    def make_key(self, tenant: str, *scopes: str) -> str:
        """A key's secret."""
        with self.database.write() as connection:
            return keys.create_key(connection, tenant=tenant, name="test", scopes=scopes)[1]

    def call(self, method: str, path: str, *, key: str | None = None, **options: Any) -> TestResponse:
        """Send a request; an empty key sends none. Headers may be given by name, as in `If_None_Match=…`."""
        known = {"data", "json", "content_type", "input_stream", "environ_overrides"}
        headers = {name.replace("_", "-"): value for name, value in options.items() if name not in known}
        key = self.key if key is None else key
        if key:
            headers["Authorization"] = f"Bearer {key}"
        passed = {name: value for name, value in options.items() if name in known}
        return self.flask.test_client().open(path, method=method, headers=headers, **passed)

    def get(self, path: str, **options: Any) -> Any:
        """The JSON document at a path that must be there."""
        response = self.call("GET", path, **options)
        assert response.status_code == 200, response.text
        return response.get_json()

    def post_form(
        self, path: str, *parts: Part, boundary: str = "a-boundary", **options: Any
    ) -> TestResponse:
        """POST these parts in this order."""
        return self.call("POST", path, **as_form(*parts, boundary=boundary), **options)

    def submit(self, files: dict[str, bytes], asked: dict[str, Any] | None = None, **options: Any) -> Any:
        """Submit images and return the batch, which must have been accepted."""
        parts = [*([options_part(asked)] if asked is not None else []), *image_parts(files)]
        response = self.post_form("/v1/batches", *parts, **options)
        assert response.status_code == 202, response.text
        return response.get_json()

    def work(self, lane: str = "normal") -> None:
        """Work as a worker of this lane does, until its queue is empty."""
        while infer_chunks(self.runtime, lane):
            pass

    def try_model(self, model_id: str) -> None:
        """Do what a worker does with an uploaded model version: load it by trial, and record the outcome."""
        here = self.runtime
        try_model(here.database, here.blobs, here.settings, model_id)

    def finished(self, files: dict[str, bytes], asked: dict[str, Any] | None = None, **options: Any) -> Any:
        """Submit a batch, work on it to its end and return it."""
        batch = self.submit(files, asked, **options)
        self.work((asked or {}).get("priority", "normal"))
        return self.get(f"/v1/batches/{batch['id']}", **options)

    def results(self, batch_id: str) -> list[dict[str, Any]]:
        """Every item of a batch."""
        return [
            json.loads(line) for line in self.call("GET", f"/v1/batches/{batch_id}/results").text.splitlines()
        ]


@contextlib.contextmanager
def application(
    folder: Path, artifact: Path, broker_url: str, database_url: str = "", **changed: Any
) -> Iterator[Application]:
    """An installation in a folder, with one active model."""
    settings = replace(
        Settings(),
        data_dir=folder,
        database_url=database_url,
        broker_url=broker_url,
        **{"cache": "off", "min_free_bytes": 0, "clock_settle_s": 0.0, "rate_limit_wrong_keys": 0, **changed},
    )
    database = Database(settings.database)
    prepare(database)
    model_id = versions.register(database, BlobStore(settings.blobs), read_artifact(artifact))
    with database.write() as connection:
        activations.activate(connection, model_id)
        _, key = keys.create_key(connection, tenant="default", name="test", scopes=SCOPES)
    database.dispose()
    flask = create_app(settings)
    here: Service = flask.extensions["gonogo"]
    made = Application(flask, Runtime(here.settings, here.celery), key, model_id)
    try:
        yield made
    finally:
        made.service.stop()
        made.database.dispose()
        made.runtime.database.dispose()
