"""The page of reviews: one item of the queue at a time, by keyboard or by forms alone."""

from typing import Any

from flask import Blueprint, abort, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from shared.contract.agreement import DEFAULT_WINDOW_S, AgreementGroup, AgreementQuery
from shared.contract.page_queries import MOST_STEPS, ReviewPageQuery, ReviewStartQuery
from shared.contract.queries import NoQuery
from shared.contract.reviews import QUEUED_SOURCES, ReviewRequest
from shared.ids import split_item_id
from shared.lifecycle.review_queue import Wanted
from web.http import validators
from web.http.auth import may, require
from web.http.callers import caller
from web.http.operations import takes_query
from web.http.validators import BODY
from web.pages import views, words
from web.pages.security import harden
from web.resources import agreement, items, review_lists, reviews
from web.service import Service, service

blueprint = Blueprint("review", __name__)
blueprint.after_request(harden)
blueprint.register_error_handler(Exception, views.show_problem)
_GROUPS = 12  # on the page; each costs some milliseconds
_FILTERS = ("batch_id", "line", "source")


@blueprint.get("/review")
@require("review")
@takes_query(ReviewStartQuery)
def start(query: ReviewStartQuery) -> str:
    """How many items wait, the newest reviews, and the button that takes the first item."""
    here, who = service(), caller()
    return render_template(
        "review_start.html",
        waiting=review_lists.waiting(here, who.tenant),
        may_export=may(g.key, "read"),
        figures=_figures(here, who.tenant),
        done=review_lists.newest(here, who.tenant),
        filters=_filters(request.args),
        exported={name: query[name] for name in ("batch_id", "line") if query.get(name)},
        none_left="empty" in query,
        sources=QUEUED_SOURCES,
        last=query.get("last", []),
    )


@blueprint.post("/review")
@require("review")
@takes_query(NoQuery)
def take_next() -> AnyResponse:
    """Take an item, and show it."""
    return _go_on(_last())


@blueprint.get("/review/<item_id>")
@require("review")
@takes_query(ReviewPageQuery)
def item(item_id: str, query: ReviewPageQuery) -> str:
    """An item with its image, evidence, and the buttons that judge it."""
    here, who = service(), caller()
    entry = reviews.held(here, who, item_id)
    shown = items.shown(here, who.tenant, item_id)
    return render_template(
        "review.html",
        item=shown,
        entry=entry,
        waiting=sum(review_lists.waiting(here, who.tenant).values()),
        filters=_filters(request.args),
        last=query.get("last", []),
    )


@blueprint.post("/review/<item_id>")
@require("review")
@takes_query(NoQuery)
def give(item_id: str) -> AnyResponse:
    """Note a verdict, then show the next item, or the page of this one again."""
    form = request.form
    given = {"verdict": form.get("verdict", ""), "note": form.get("note", "").strip() or None}
    asked: ReviewRequest = validators.check(ReviewRequest, given, BODY)
    who, on_its_page = caller(), form.get("then") == "item"
    claim = None if on_its_page else who.session
    reviews.give(service(), who, item_id, asked["verdict"], asked.get("note"), claim)
    if on_its_page:
        return redirect(url_for("pages.item", item_id=item_id), 303)
    return _go_on([item_id, *(each for each in _last() if each != item_id)])


@blueprint.post("/review/<item_id>/skip")
@require("review")
@takes_query(NoQuery)
def skip(item_id: str) -> AnyResponse:
    """Put an item behind the others, and show the next one."""
    reviews.put_back(service(), caller(), item_id)
    return _go_on(_last())


@blueprint.post("/review/<item_id>/undo")
@require("review")
@takes_query(NoQuery)
def undo(item_id: str) -> AnyResponse:
    """Take the verdict on an item back, and show the item again."""
    reviews.take_back(service(), caller(), item_id)
    if request.form.get("then") == "item":
        return redirect(url_for("pages.item", item_id=item_id), 303)
    return redirect(_address(item_id, [each for each in _last() if each != item_id]), 303)


def _figures(here: Service, tenant: str) -> list[AgreementGroup]:
    """Agreement and rates by model and line: those of the most items, where persons have reviewed some."""
    asked: AgreementQuery = {"window": DEFAULT_WINDOW_S, "by": ["model", "line"]}
    found = agreement.agreement(here, tenant, asked, reviews.shares(here), most=_GROUPS)
    return [group for group in found["groups"] if words.reviewed(group)]


def _go_on(last: list[str]) -> AnyResponse:
    """Take the next item of those that the form asks for; the verdicts on the items in `last` can be taken back."""
    filters = _filters(request.form)
    source = filters.get("source")
    wanted = Wanted(filters.get("batch_id"), filters.get("line"), [source] if source else None)
    entry = reviews.take_next(service(), caller(), wanted)
    if entry is None:
        kept: dict[str, Any] = {**filters, **_kept(last)}
        return redirect(url_for("review.start", empty="1", **kept), 303)
    return redirect(_address(reviews.item_of(entry), last), 303)


def _address(item_id: str, last: list[str]) -> str:
    kept: dict[str, Any] = {**_filters(request.form), **_kept(last)}
    return url_for("review.item", item_id=item_id, **kept)


def _last() -> list[str]:
    """The items that this person judged before, the newest first, as the page's form holds them."""
    return [each for each in request.form.get("last", "").split(",") if split_item_id(each)]


def _kept(last: list[str]) -> dict[str, str]:
    return {"last": ",".join(last[:MOST_STEPS])} if last else {}


def _filters(given: Any) -> dict[str, str]:
    found = {name: given[name] for name in _FILTERS if given.get(name)}
    is_known = found.get("source", QUEUED_SOURCES[0]) in QUEUED_SOURCES
    if not is_known or any(len(value) > 200 for value in found.values()):
        abort(400)
    return found
