"""The pages: sign in, the list of batches, and one batch with the highest scores first."""

from typing import cast
from urllib.parse import urlsplit

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from flask.sansio.blueprints import BlueprintSetupState
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from shared.contract.page_queries import BatchPageQuery, HomePageQuery, ItemPageQuery, SignInQuery
from shared.contract.queries import BatchListQuery, NoQuery
from shared.contract.states import FINISHED_BATCH, ItemStatus
from web.http import problems, trail, validators
from web.http.auth import may, require, sign_in
from web.http.auth import sign_out as end_session
from web.http.headers import base_url
from web.http.operations import takes_query
from web.http.problems import HttpProblem
from web.pages import drift, model_versions, reruns, rescoring, shadows
from web.pages.security import harden
from web.pages.words import FILTERS, finished
from web.resources import batches, items, scores, steering, tiles
from web.service import service

blueprint = Blueprint(
    "pages", __name__, template_folder="templates", static_folder="static", static_url_path="/static"
)
blueprint.after_request(harden)
rescoring.add_to(blueprint)
model_versions.add_to(blueprint)
reruns.add_to(blueprint)
drift.add_to(blueprint)
shadows.add_to(blueprint)
_OPEN_ITEM = frozenset({ItemStatus.QUEUED, ItemStatus.PROCESSING})
_ROWS = 20


@blueprint.before_request
def _static_files_take_no_query() -> None:
    if request.endpoint == "pages.static":
        validators.read_query(NoQuery, request)


@blueprint.record_once
def _install(state: BlueprintSetupState) -> None:
    state.app.jinja_env.filters.update(FILTERS, bars=rescoring.bars)
    state.app.jinja_env.finalize = finished
    state.app.jinja_env.globals["may"] = _may
    state.app.jinja_env.trim_blocks = state.app.jinja_env.lstrip_blocks = True


@blueprint.get("/")
@require("read")
@takes_query(HomePageQuery)
def home(query: HomePageQuery) -> str:
    """The form that sends images, and the list of batches."""
    here = service()
    listed = validators.with_defaults(BatchListQuery, {**query, "limit": _ROWS})
    page = batches.page_of(here, g.tenant, cast(BatchListQuery, listed), base_url(request))
    active = next((batch for batch in page["data"] if batch["finished_at"] is None), None)
    tag = f'"{batches.version(here, g.tenant, active["id"])[0]}"' if active else None
    return render_template("home.html", page=page, watched=active, etag=tag, may_submit=_may("submit"))


@blueprint.get("/batches/<batch_id>")
@require("read")
@takes_query(BatchPageQuery)
def batch(batch_id: str, query: BatchPageQuery) -> str:
    """A batch: progress, counts, and its items, the highest score first."""
    here = service()
    row = batches.find(here, g.tenant, batch_id)
    page = tiles.of(here, row, query)
    filters = {name: request.args[name] for name in ("verdict", "status") if name in request.args}
    shown = [item for item in page.data if item["status"] not in _OPEN_ITEM]
    return render_template(
        "batch.html",
        batch=here.batch_payload(row, ""),
        etag=f'"{batches.tag(row.id, row.version)}"',
        running=row.status not in FINISHED_BATCH,
        shown=shown,
        following=page.following if len(shown) == len(page.data) else None,
        by_score=page.by_score,
        looked_to=page.last,
        filters=filters,
        chosen=filters.get("verdict") or filters.get("status") or "",
        may_submit=_may("submit"),
        may_review=_may("review"),
        scores=scores.at_hand(here, row),
        versions=reruns.choices(here, row) if _may("submit") else [],
    )


@blueprint.get("/items/<item_id>")
@require("read")
@takes_query(ItemPageQuery)
def item(item_id: str, query: ItemPageQuery) -> str:
    """An item: its image under a heatmap, and the evidence of its verdict."""
    here = service()
    shown = items.shown(here, g.tenant, item_id)
    before, after = items.neighbours(here, item_id, query.get("verdict", []))
    filters = {"verdict": request.args["verdict"]} if "verdict" in request.args else {}
    return render_template("item.html", item=shown, before=before, after=after, filters=filters)


@blueprint.post("/batches/<batch_id>/cancel")
@require("submit")
@takes_query()
def cancel(batch_id: str) -> AnyResponse:
    """Cancel, and show the batch again."""
    batches.cancel(service(), g.tenant, batch_id, trail.actor())
    return redirect(url_for("pages.batch", batch_id=batch_id), 303)


@blueprint.post("/batches/<batch_id>/<any(pause, resume, retry):step>")
@require("submit")
@takes_query()
def steer(batch_id: str, step: str) -> AnyResponse:
    """Pause, resume or retry, and show the batch again."""
    {"pause": steering.pause, "resume": steering.resume, "retry": steering.retry}[step](
        service(), g.tenant, batch_id, trail.actor()
    )
    return redirect(url_for("pages.batch", batch_id=batch_id), 303)


@blueprint.get("/sign-in")
@takes_query(SignInQuery)
def ask_for_key(query: SignInQuery) -> str:
    """The form that takes a key."""
    return render_template("sign_in.html", next=_local(query.get("next")))


@blueprint.post("/sign-in")
@takes_query()
def take_key() -> AnyResponse | tuple[str, int]:
    """A key for a cookie."""
    try:
        sign_in(request.form.get("key", ""))
    except HttpProblem as problem:
        return render_template("sign_in.html", next=_next(), trouble=problem.detail), problem.status
    return redirect(_next(), 303)


@blueprint.post("/sign-out")
@takes_query()
def sign_out() -> AnyResponse:
    """End the session."""
    end_session()
    return redirect(url_for("pages.ask_for_key"), 303)


def _may(scope: str) -> bool:
    return may(g.key, scope)


def _next() -> str:
    """Where to go after signing in, from the form."""
    return _local(request.form.get("next"))


def _local(wanted: str | None) -> str:
    """`wanted` if it is a path of this service, else the first page."""
    home = url_for("pages.home")
    # A line break would end the header Location, and browsers drop a tab: `/<tab>/host` leads to another host.
    if wanted is None or not wanted.isprintable():
        return home
    try:
        parts = urlsplit(wanted)
    except ValueError:  # such as the half of an IPv6 address
        return home
    local = wanted.startswith(home) and not wanted.startswith(("//", "/\\"))
    return wanted if local and not parts.scheme and not parts.netloc else home


def _page_now() -> str:
    """The address that was asked for, or of the page whose form was sent."""
    if request.method == "GET":
        return request.script_root + request.full_path.rstrip("?")
    before, sign, page = (request.referrer or "").partition(request.host_url)
    return "/" + page if sign and not before else url_for("pages.home")


@blueprint.errorhandler(Exception)
def show_problem(error: Exception) -> AnyResponse | tuple[str, int, dict[str, str]]:
    """Show an error as a page; without a session, ask for a key first."""
    problem = problems.as_problem(error)
    if problem.status == 401:
        return redirect(url_for("pages.ask_for_key", next=_page_now()), 303)
    again = {} if problem.retry_after_s is None else {"Retry-After": str(problem.retry_after_s)}
    return render_template("error.html", problem=problem), problem.status, again


@blueprint.app_errorhandler(404)
def _nothing_there(error: HTTPException) -> Response:
    """An unknown address: a page for a browser, a problem for a program."""
    problem = problems.as_problem(error)
    wants_page = request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
    if request.path.startswith("/v1/") or not wants_page:
        return problems.respond(problem)
    problem.detail = "There is no page at this address."
    return harden(Response(render_template("error.html", problem=problem), 404))
