"""The pages of model versions: the list, and a version with its card, its switch, and another one to compare with."""

from typing import cast

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from shared.contract.page_queries import ModelPageQuery
from web.http import trail
from web.http.auth import may, require
from web.http.headers import base_url
from web.http.operations import takes_query
from web.pages import cards, curves
from web.resources import model_versions, shadows
from web.service import service


def add_to(blueprint: Blueprint) -> None:
    """Add these pages to the others."""
    blueprint.get("/models")(models)
    blueprint.get("/models/<model_id>")(model)
    blueprint.post("/models/<model_id>/<any(activate, rollback):switch>")(switch)


@require("read")
@takes_query()
def models() -> str:
    """The versions that the tenant may use."""
    found = model_versions.listing(service(), g.tenant, base_url(request))
    return render_template("models.html", models=found, may_upload=may(g.key, "admin"))


@require("read")
@takes_query(ModelPageQuery)
def model(model_id: str, query: ModelPageQuery) -> str:
    """A version: its figures, its curves, and the switch. `other` names a version to compare it with."""
    here, base = service(), base_url(request)
    listed = model_versions.listing(here, g.tenant, base)
    shown = [
        model_versions.shown(here, g.tenant, each, base) for each in (model_id, query.get("other")) if each
    ]
    found = [model_versions.card(here, g.tenant, each["id"]) for each in shown]
    matrix = cards.matrix(found[0])
    return render_template(
        "model.html",
        model=shown[0],
        other=shown[1] if len(shown) > 1 else None,
        listed=[each for each in listed if each["id"] != model_id],
        figures=cards.figures(found),
        matrix=matrix,
        curves=curves.training_curves(found[0]),
        coverage=curves.risk_coverage(found[0]),
        roc=curves.roc(found[0], matrix),
        recall=curves.precision_recall(found[0], matrix),
        card=found[0],
        confirm=query.get("confirm"),
        shadows=shadows.of_version(here, g.tenant, model_id),
        may_switch=may(g.key, "admin"),
    )


@require("admin")
@takes_query()
def switch(model_id: str, switch: str) -> AnyResponse:
    """Activate a version or go back to it, and show it again."""
    change = {"activate": model_versions.activate, "rollback": model_versions.roll_back}[switch]
    change(service(), cast(str, g.tenant), model_id, trail.actor())
    return redirect(url_for("pages.model", model_id=model_id), 303)
