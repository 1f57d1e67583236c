"""The web application: create_app puts the parts together."""

import logging
import time
import uuid
from datetime import timedelta

from flask import Flask, Request, Response, g, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from shared.access import keys
from shared.blobs.store import BlobStore
from shared.broker import checks
from shared.broker.tasks import celery_app
from shared.logs import log_requests_as
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.installation import named
from shared.store.tallies import Tallies
from shared.version import installed_version
from web.api import (
    api_keys,
    batches,
    health,
    items,
    model_versions,
    parts,
    predict,
    session,
    steering,
    workers,
)
from web.http import precheck, problems
from web.http.known_keys import KnownKeys
from web.live.announcer import Announcer
from web.live.waiting import WaitingRoom
from web.live.waits import PARKED, BlockingWaits, Parked
from web.openapi import document
from web.pages import views as pages
from web.service import Service
from web.upload.capacity import Capacity

log = logging.getLogger(__name__)
_RESOURCES = (
    batches,
    steering,
    items,
    parts,
    predict,
    model_versions,
    workers,
    api_keys,
    session,
    health,
    document,
    pages,
)


def create_app(settings: Settings) -> Flask:
    """The WSGI application of one installation; its database must have been migrated."""
    app = Flask(__name__, static_folder=None)
    database = Database(settings.database, pool_size=settings.web_threads, settle_s=settings.clock_settle_s)
    settings = named(settings, database)
    checks.refuse_unusable(settings)
    celery = celery_app(settings)
    blobs, waiting, tallies = BlobStore(settings.blobs), WaitingRoom(settings), Tallies()
    tallies.write_every(database, settings.heartbeat_s)
    app.extensions["gonogo"] = Service(
        settings=settings,
        database=database,
        blobs=blobs,
        celery=celery,
        announcer=Announcer(settings, celery),
        waiting=waiting,
        capacity=Capacity(settings, database, blobs),
        known_keys=KnownKeys(database),
        model_refs={},
        tallies=tallies,
    )
    with database.write() as connection:
        app.secret_key = keys.service_secret(connection, "session")
    app.session_interface = _Sessions()
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config.update(
        SESSION_COOKIE_NAME="gonogo",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        PERMANENT_SESSION_LIFETIME=timedelta(hours=12),
        GONOGO_VERSION=installed_version(),
    )
    for resource in _RESOURCES:
        app.register_blueprint(resource.blueprint)
    problems.install(app)
    app.register_error_handler(Parked, _park)
    app.wsgi_app = BlockingWaits(app.wsgi_app, waiting.wakes)  # type: ignore[method-assign]
    app.before_request(_begin)
    precheck.install(app)
    app.after_request(_end)
    return app


class _Sessions(SecureCookieSessionInterface):
    """Flask's own, but for not making a signer for each request that shows no cookie: those of every API key."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)


def _park(parked: Parked) -> Response:
    """Hand a waiting request back to the server, which calls its view again; this answer is not sent."""
    request.environ[PARKED] = parked
    return Response(status=204)


def _begin() -> None:
    g.started = time.perf_counter()
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if 0 < len(given) <= 128 and given.isprintable() else uuid.uuid4().hex


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if request.path == "/readyz" or PARKED in request.environ:
        return response  # asked twice a second while a stack starts; not answered yet
    log_requests_as(
        log, request.method, request.path, response.status_code, g.get("started"), g.get("request_id", "")
    )
    return response
