"""The histogram of a batch's page, and the form that judges the batch by another operating point."""

import math

from flask import Blueprint, g, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from shared.contract.rescoring import RescoreRequest
from shared.contract.scores import ScoresPayload
from shared.store.records import BatchRecord
from web.http import trail
from web.http.auth import require
from web.http.operations import takes_query
from web.http.validators import BODY, check
from web.resources import rescoring
from web.resources.batches import find
from web.service import service

BARS = 100
_HEIGHT = 100.0
_ROUNDED = 1e-12


def add_to(blueprint: Blueprint) -> None:
    """Add the form's address to the pages."""
    blueprint.post("/batches/<batch_id>/rescore")(rescore)


@require("review")
@takes_query()
def rescore(batch_id: str) -> AnyResponse:
    """Rescore, and show the batch again."""
    asked = check(RescoreRequest, _asked(find(service(), g.tenant, batch_id)), BODY)
    rescoring.rescore(service(), g.tenant, batch_id, asked, trail.actor())
    return redirect(url_for("pages.batch", batch_id=batch_id), 303)


def _asked(batch: BatchRecord) -> dict[str, object]:
    """The numbers of the form; a text that is no number is refused by the check.

    A browser rounds the value of a slider to 15 digits: a bound that nobody moved is the batch's own.
    """
    present = {"low": batch.review_low, "threshold": batch.threshold, "high": batch.review_high}
    low, threshold, high = (_number(request.form.get(name, ""), value) for name, value in present.items())
    asked: dict[str, object] = {"threshold": threshold, "review_band": [low, high]}
    if revision := request.form.get("expected_revision"):
        asked["expected_revision"] = int(revision) if revision.isdecimal() else revision
    return asked


def _number(text: str, present: float) -> float | str:
    try:
        number = float(text)
    except ValueError:
        return text
    return present if math.isclose(number, present, abs_tol=_ROUNDED) else number


def bars(scores: ScoresPayload) -> list[dict[str, float | str]]:
    """The histogram as rectangles in a field of BARS by 100: place, height and verdict of each stack's parts.

    The height is that of the square root, so that ten defects among ten thousand good parts are seen.
    """
    per_bar, stacks = scores["bins"] // BARS, [dict[str, int]() for _ in range(BARS)]
    low, high = scores["operating_point"]["review_band"]
    threshold = scores["operating_point"]["threshold"]
    for place, decided, held in scores["items"]:
        middle, stack = (place + 0.5) / scores["bins"], stacks[min(place // per_bar, BARS - 1)]
        in_band = low < high and low <= middle <= high
        verdict = "review" if in_band else "defect" if middle >= threshold else "no_defect"
        stack[verdict] = stack.get(verdict, 0) + decided
        stack["review"] = stack.get("review", 0) + held
    most = max((sum(stack.values()) for stack in stacks), default=0) ** 0.5 or 1.0
    made: list[dict[str, float | str]] = []
    for x, stack in enumerate(stacks):
        total, top = sum(stack.values()), _HEIGHT
        for verdict in ("defect", "review", "no_defect"):
            if number := stack.get(verdict, 0):
                height = _HEIGHT * total**0.5 / most * number / total
                top -= height
                made.append({"x": x, "y": round(top, 2), "height": round(height, 2), "verdict": verdict})
    return made
