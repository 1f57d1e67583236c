"""The web application: create_app puts the parts together."""

import logging
import time
import uuid

from flask import Flask, Response, g, request

from shared.blobs.store import BlobStore
from shared.broker import checks
from shared.broker.tasks import celery_app
from shared.logs import log_requests_as
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.installation import named
from shared.store.records import ApiKeyRecord
from shared.store.tallies import Tallies
from shared.version import installed_version
from web.api import (
    agreement,
    api_keys,
    audit,
    batches,
    drafts,
    drawings,
    drift,
    events,
    health,
    items,
    model_versions,
    parts,
    predict,
    quotas,
    reruns,
    rescoring,
    reviews,
    session,
    shadows,
    steering,
    webhook_deliveries,
    webhook_endpoints,
    workers,
)
from web.http import allowed_methods, precheck, problems, rate_limits
from web.http.known_keys import KnownKeys
from web.http.rate_limits import RateLimits
from web.http.refused import RefusedKeys
from web.live.announcer import Announcer
from web.live.feeds import Feeds
from web.live.waiting import WaitingRoom
from web.live.waits import FACTS, PARKED, BlockingWaits, Parked
from web.openapi import views as api_docs
from web.pages import review as review_page
from web.pages import views as pages
from web.service import Service, service
from web.upload.capacity import Capacity
from web.upload.memory import Memory

log = logging.getLogger(__name__)
_RESOURCES = (
    batches,
    drafts,
    steering,
    rescoring,
    reruns,
    events,
    drawings,
    items,
    reviews,
    agreement,
    parts,
    predict,
    model_versions,
    shadows,
    drift,
    workers,
    api_keys,
    audit,
    webhook_endpoints,
    webhook_deliveries,
    quotas,
    session,
    health,
    api_docs,
    pages,
    review_page,
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
        feeds=Feeds(database, waiting.wakes),
        capacity=Capacity(settings, database, blobs),
        known_keys=KnownKeys(database),
        refused_keys=RefusedKeys(database),
        model_refs={},
        tallies=tallies,
        rate_limits=RateLimits(settings),
        memory=Memory(),
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config["GONOGO_VERSION"] = installed_version()
    for resource in _RESOURCES:
        app.register_blueprint(resource.blueprint)
    problems.install(app)
    app.register_error_handler(Parked, _park)
    app.wsgi_app = BlockingWaits(app.wsgi_app, waiting.wakes)  # type: ignore[method-assign]
    app.before_request(_begin)
    allowed_methods.install(app)
    precheck.install(app)
    app.after_request(_end)
    return app


def _park(parked: Parked) -> Response:
    """Hand a waiting request back to the server, which calls its view again; this answer is not sent."""
    request.environ[PARKED] = parked
    return Response(status=204)


def _begin() -> None:
    g.started = time.perf_counter()
    facts = request.environ.setdefault(FACTS, {})
    if "request_id" not in facts:  # a view that waits runs again from its start, for the same request
        given = request.headers.get("X-Request-Id", "")
        facts["request_id"] = given if 0 < len(given) <= 128 and given.isprintable() else uuid.uuid4().hex
    g.request_id = facts["request_id"]
    # Werkzeug takes `//v1/batches` for `/v1/batches`, and redirects `/v1//batches` with the method of the request.
    # Proxies, logs and rules by path see two addresses there, so there is one.
    if "//" in request.environ["PATH_INFO"]:
        raise problems.HttpProblem(
            404, "not_found", "the path has an empty segment (`//`): /openapi.json lists the paths"
        )


def _end(response: Response) -> Response:
    _note_facts()
    rate_limits.show(service().rate_limits, response, request.environ[FACTS])
    response.headers["X-Request-Id"] = g.get("request_id", "")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if request.path == "/readyz" or PARKED in request.environ:
        return response  # asked twice a second while a stack starts; not answered yet
    log_requests_as(
        log, request.method, request.path, response.status_code, g.get("started"), g.get("request_id", "")
    )
    return response


def _note_facts() -> None:
    """Tell the server the facts of this request that its access log shows."""
    key: ApiKeyRecord | None = g.get("key")
    facts = request.environ.setdefault(FACTS, {})
    facts["route"] = None if request.url_rule is None else request.url_rule.rule
    facts["address"] = request.remote_addr
    if key is not None:
        facts["key_id"], facts["tenant"] = key.id, key.tenant
