"""The page of drift: how far the windows of each line lie from the model's reference, as curves and as a table."""

from collections.abc import Sequence
from typing import NamedTuple, cast

from flask import Blueprint, g, render_template, request

from shared.contract.drift import DriftWindowPayload
from shared.contract.page_queries import DriftPageQuery
from shared.contract.queries import DriftQuery
from web.http.auth import require
from web.http.headers import base_url
from web.http.operations import takes_query
from web.resources import drift, model_versions
from web.service import service

_WINDOWS, _SHOWN = 400, 60  # of a model; and of a line, as a curve


class Chart(NamedTuple):
    """The windows of a line, the oldest first, in a field of 100 by 100 whose height is `most`.

    `lines` are (class, points of an SVG polyline); `spots` are the places of the windows that drifted.
    """

    line: str | None
    windows: list[DriftWindowPayload]
    most: float
    lines: list[tuple[str, str]]
    spots: list[tuple[float, float]]


def add_to(blueprint: Blueprint) -> None:
    """Add the page to the others."""
    blueprint.get("/models/<model_id>/drift")(model_drift)


@require("read")
@takes_query(DriftPageQuery)
def model_drift(model_id: str, query: DriftPageQuery) -> str:
    """The drift of a version on its lines, or on the line that the query names."""
    here = service()
    model = model_versions.shown(here, g.tenant, model_id, base_url(request))
    asked = cast(DriftQuery, {**query, "model_id": model_id, "limit": _WINDOWS})
    found = drift.page_of(here, g.tenant, asked)["data"]
    return render_template("drift.html", model=model, charts=charts(found), line=query.get("line"))


def charts(windows: Sequence[DriftWindowPayload]) -> list[Chart]:
    """A chart for each line, the line with the newest window first, of windows that come the newest first."""
    by_line: dict[str | None, list[DriftWindowPayload]] = {}
    for window in windows:
        by_line.setdefault(window["line"], []).append(window)
    return [_chart(line, found[:_SHOWN][::-1]) for line, found in by_line.items()]


def _chart(line: str | None, windows: list[DriftWindowPayload]) -> Chart:
    furthest = [max(window["limit"], *_distances(window).values()) for window in windows]
    most = min(1.0, 1.1 * max(furthest))
    across = [100 * (place + 0.5) / len(windows) for place in range(len(windows))]

    def points(heights: Sequence[float | None]) -> str:
        placed = [(x, y) for x, y in zip(across, heights, strict=True) if y is not None]
        if len(placed) == 1:  # a line needs two points
            placed = [(0.0, placed[0][1]), (100.0, placed[0][1])]
        return " ".join(f"{x:.1f},{100 - 100 * y / most:.1f}" for x, y in placed)

    lines = [("limit", points([window["limit"] for window in windows]))]
    for measure in ("score", "unfamiliarity"):
        lines.append((measure, points([_distances(window).get(measure) for window in windows])))
    spots = [
        (x, 100 - 100 * max(_distances(window).values()) / most)
        for x, window in zip(across, windows, strict=True)
        if window["drifted"]
    ]
    return Chart(line, windows, most, [each for each in lines if each[1]], spots)


def _distances(window: DriftWindowPayload) -> dict[str, float]:
    return {name: float(value) for name, value in window["distances"].items()}  # type: ignore[arg-type]
