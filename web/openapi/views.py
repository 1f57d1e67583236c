"""The API's description for programs and for people, and a page for each error code."""

from flask import Blueprint, render_template

from shared.contract.problem_codes import ITEM_CODES, REQUEST_CODES, cause_and_remedy
from web.http.operations import takes_query
from web.http.problems import not_found
from web.openapi.document import document
from web.openapi.examples import examples
from web.openapi.schemas import Schema
from web.pages.security import harden

blueprint = Blueprint("openapi", __name__)
blueprint.after_request(harden)


@blueprint.get("/openapi.json")
@takes_query()
def openapi_json() -> Schema:
    """The document for programs."""
    return document()


@blueprint.get("/docs")
@takes_query()
def docs() -> str:
    """The document for people."""
    return render_template("docs.html", document=document(), examples=examples())


@blueprint.get("/docs/errors")
@takes_query()
def docs_errors() -> str:
    """Every error code with its cause."""
    return render_template("errors.html", request_codes=_split(REQUEST_CODES), item_codes=_split(ITEM_CODES))


@blueprint.get("/docs/errors/<code>")
@takes_query()
def docs_error(code: str) -> str:
    """An error code with its cause and its remedy: the `type` of a problem leads here."""
    text = REQUEST_CODES.get(code) or ITEM_CODES.get(code)
    if text is None:
        raise not_found(f"error code {code}")
    cause, remedy = cause_and_remedy(text)
    of_item = code in ITEM_CODES
    return render_template("error_code.html", code=code, cause=cause, remedy=remedy, of_item=of_item)


def _split(codes: dict[str, str]) -> list[tuple[str, str]]:
    return [(code, cause_and_remedy(text)[0]) for code, text in sorted(codes.items())]
