"""Judging a batch's images by another model version, and the page that compares both batches."""

from typing import cast

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from shared.contract.model_versions import ModelPayload
from shared.contract.page_queries import DiffPageQuery
from shared.contract.reruns import OUTCOMES, DiffCount, DiffQuery, RerunRequest
from shared.contract.states import ModelStatus
from shared.store.records import BatchRecord
from web.http import trail, validators
from web.http.auth import require
from web.http.operations import takes_query
from web.http.validators import BODY, check
from web.resources import batches, model_versions, reruns
from web.service import Service, service

_ROWS = 50


def add_to(blueprint: Blueprint) -> None:
    """Add these pages to the others."""
    blueprint.post("/batches/<batch_id>/rerun")(rerun)
    blueprint.get("/batches/<batch_id>/diff/<other_id>")(diff)


def choices(here: Service, batch: BatchRecord) -> list[ModelPayload]:
    """The versions that may judge an ended batch again, the newest first."""
    if batch.finished_at is None:
        return []
    listed = model_versions.listing(here, batch.tenant, "")
    return [each for each in listed if each["status"] == ModelStatus.READY and each["id"] != batch.model_id]


@require("submit")
@takes_query()
def rerun(batch_id: str) -> AnyResponse:
    """Begin the new batch, and show how it goes on."""
    asked = check(RerunRequest, {"model": request.form.get("model", "")}, BODY)
    given = cast(RerunRequest, validators.with_defaults(RerunRequest, {**asked}))
    made = reruns.rerun(service(), g.tenant, batch_id, given, trail.actor())
    return redirect(url_for("pages.batch", batch_id=made.id), 303)


@require("read")
@takes_query(DiffPageQuery)
def diff(batch_id: str, other_id: str, query: DiffPageQuery) -> str:
    """The images that two batches judge otherwise, and how many changed in each way."""
    here, chosen = service(), {name: query[name] for name in ("before", "after") if name in query}
    asked = validators.with_defaults(DiffQuery, {**query, "limit": _ROWS, "all": bool(chosen)})
    found = reruns.shown(here, g.tenant, batch_id, other_id, cast(DiffQuery, asked))
    both = [here.batch_payload(batches.find(here, g.tenant, each), "") for each in (batch_id, other_id)]
    return render_template(
        "diff.html",
        before=both[0],
        after=both[1],
        page=found.page,
        chosen=chosen,
        table=None if found.counts is None else _table(found.counts),
        uncounted=found.counts is None and "cursor" not in query,
        looked_to=found.last,
    )


def _table(counts: list[DiffCount]) -> tuple[list[str], list[tuple[str, dict[str, int]]]]:
    """The outcomes of the second batch as columns; for each outcome of the first, its counts by column."""
    columns = [each.value for each in OUTCOMES if any(count["after"] == each for count in counts)]
    rows = [
        (each.value, {count["after"]: count["count"] for count in counts if count["before"] == each})
        for each in OUTCOMES
    ]
    return columns, [(name, row) for name, row in rows if row]
