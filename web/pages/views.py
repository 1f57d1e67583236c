"""The pages a person sees: batches and their verdicts."""

from flask import Blueprint

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def home() -> str:
    return "Gonogo"
