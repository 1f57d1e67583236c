"""The shadows of a model version on its page: started, stopped, and compared with the version in use."""

from collections.abc import Mapping

from flask import Blueprint, g, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from shared.contract.shadows import ShadowRequest
from web.http import trail
from web.http.auth import require
from web.http.operations import takes_query
from web.http.validators import BODY, check
from web.resources import shadows
from web.service import service


def add_to(blueprint: Blueprint) -> None:
    """Add the addresses of the forms to the pages."""
    blueprint.post("/models/<model_id>/shadow")(start_shadow)
    blueprint.post("/models/<model_id>/shadow/<shadow_id>/stop")(stop_shadow)


@require("admin")
@takes_query()
def start_shadow(model_id: str) -> AnyResponse:
    """Let the version score a share of the images of the active one, and show it again."""
    asked = check(ShadowRequest, {"candidate": model_id, "share": _share(request.form)}, BODY)
    shadows.start(service(), g.tenant, asked, trail.actor())
    return _again(model_id)


@require("admin")
@takes_query()
def stop_shadow(model_id: str, shadow_id: str) -> AnyResponse:
    """Stop the shadow, and show the version again."""
    shadows.stop(service(), g.tenant, shadow_id, trail.actor())
    return _again(model_id)


def _share(form: Mapping[str, str]) -> float | str:
    """The form's percentage as a share; a text that is no number is refused by the check."""
    text = form.get("percent", "")
    try:
        return float(text) / 100
    except ValueError:
        return text


def _again(model_id: str) -> AnyResponse:
    return redirect(url_for("pages.model", model_id=model_id, _anchor="shadows"), 303)
