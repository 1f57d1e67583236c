"""The page of drift draws the windows of each line against their limit."""

from typing import Any, cast

from shared.contract.drift import DriftDistances, DriftWindowPayload
from shared.store.tables import DriftWindow
from tests.harness.site import Site
from tests.unit.web.pages.test_models import active
from web.pages.drift import charts


def window(model: str, line: str, score: float, at: float, **changed: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "tenant": "plant", "model_id": model, "line": line, "began_at": None, "ended_at": at, "images": 200,
        "counts": {"score": [], "unfamiliarity": []}, "distances": {"score": score, "unfamiliarity": 0.05},
        "limit": 0.1, "defect_share": 0.02, "drifted": score > 0.1,
    }  # fmt: skip
    return {**row, **changed}


def test_each_line_has_its_curve_and_says_whether_it_drifts(site: Site) -> None:
    model, browser = active(site), site.signed_in()
    assert "No window yet" in browser.get(f"/models/{model}/drift").text
    rows = [window(model, "A<3>", score, at) for at, score in enumerate((0.02, 0.03, 0.4))]
    rows += [window(model, "B", 0.01, 9.0), window("mdl_other", "C", 0.9, 9.0)]
    rows.append(window(model, "D", 0.9, 9.0, tenant="rival"))
    with site.service.database.write() as connection:
        connection.execute(DriftWindow.__table__.insert(), rows)  # type: ignore[attr-defined]
    page = browser.get(f"/models/{model}/drift").text
    assert page.count('<svg class="curve"') == 2
    assert (
        "Line <bdi>A&lt;3&gt;</bdi>" in page
        and "Distances of 3 windows" in page
        and "1 over the limit" in page
    )
    alone = browser.get(f"/models/{model}/drift?line=B").text
    assert alone.count('<svg class="curve"') == 1 and "Line <bdi>B</bdi>" in alone
    assert f'href="/models/{model}/drift"' in browser.get(f"/models/{model}").text
    assert browser.get("/models/mdl_none/drift").status_code == 404


def test_the_curves_stay_in_their_field_and_a_model_without_a_guard_has_one_less() -> None:
    def shown(score: float, limit: float, **guard: float) -> DriftWindowPayload:
        distances = cast(DriftDistances, {"score": score, **guard})
        return {
            "id": "dft_1", "object": "drift_window", "model_id": "mdl_1", "line": None, "began_at": None,
            "ended_at": "2026-01-01T00:00:00Z", "images": 200, "drifted": score > limit,
            "distances": distances, "limit": limit, "defect_share": 0.0,
            "counts": {"score": [], "unfamiliarity": []},
        }  # fmt: skip

    [chart] = charts([shown(0.02, 0.1), shown(0.95, 0.1), shown(0.3, 0.08)])
    assert [name for name, _ in chart.lines] == ["limit", "score"]
    heights = [float(point.split(",")[1]) for _, points in chart.lines for point in points.split()]
    assert min(heights) >= 0 and max(heights) <= 100
    assert len(chart.spots) == 2
    [single] = charts([shown(0.02, 0.1, unfamiliarity=0.04)])
    assert all(len(points.split()) == 2 for _, points in single.lines)
