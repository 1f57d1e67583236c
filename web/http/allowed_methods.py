"""OPTIONS: the methods of a path, without a key and without a body (RFC 9110)."""

from flask import Flask, Response, current_app, request


def install(app: Flask) -> None:
    """Answer OPTIONS on every route; a path that there is not stays 404."""
    app.before_request(_answer)


def _answer() -> Response | None:
    if request.method != "OPTIONS" or request.routing_exception is not None:
        return None
    allowed = current_app.make_default_options_response().headers["Allow"]
    response = Response(status=204)
    del response.headers["Content-Type"]
    response.headers["Allow"] = ", ".join(sorted(each.strip() for each in allowed.split(",")))
    return response
