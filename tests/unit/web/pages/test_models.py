"""The pages of model versions: figures of the card, the switch with its confirmation, and the comparison."""

import json
import math
from typing import Any

import pytest

from shared.access import keys
from shared.registry import versions
from shared.registry.artifact import read_artifact
from tests.harness.artifacts import write_untrained
from tests.harness.site import ORIGIN, Site
from web.pages import cards, curves


@pytest.fixture
def shipped() -> dict[str, Any]:
    """The card of a shipped artifact."""
    card: dict[str, Any] = read_artifact(versions.shipped()[0]).card
    return card


def active(site: Site) -> str:
    listed = site.client.get("/v1/models", headers=site.bearer).get_json()["data"]
    return str(next(each["id"] for each in listed if each["active"]))


def other(site: Site, tmp_path: Any) -> str:
    made = read_artifact(write_untrained(tmp_path / "other.gonogo", seed=3))
    return versions.register(site.service.database, site.service.blobs, made, tenant="plant")


def test_a_version_is_activated_and_rolled_back_after_a_question(site: Site, tmp_path: Any) -> None:
    first, second, client = active(site), other(site, tmp_path), site.signed_in()
    assert "Activate" in client.get(f"/models/{second}").text
    assert 'id="confirm"' not in client.get(f"/models/{second}").text
    asked = client.get(f"/models/{second}?confirm=activate").text
    assert f'action="/models/{second}/activate"' in asked
    assert client.post(f"/models/{second}/activate", headers=ORIGIN).status_code == 303
    assert active(site) == second
    asked = client.get(f"/models/{first}?confirm=rollback").text
    assert f'action="/models/{first}/rollback"' in asked
    assert client.post(f"/models/{first}/rollback", headers=ORIGIN).status_code == 303
    assert active(site) == first
    assert client.post(f"/models/{first}/rollback", headers=ORIGIN).status_code == 409, "it is active"


def test_two_versions_are_compared_and_the_list_names_both(site: Site, tmp_path: Any) -> None:
    first, second, client = active(site), other(site, tmp_path), site.signed_in()
    page = client.get(f"/models/{first}?other={second}").text
    assert page.count('<th scope="col">') >= 3
    listed = client.get("/models").text
    assert f"/models/{first}" in listed
    assert f"/models/{second}" in listed
    assert client.get(f"/models/{first}?other=mdl_none").status_code == 404
    assert client.get("/models/mdl_none").status_code == 404


def test_a_key_that_may_only_read_sees_the_page_without_the_switch(site: Site, tmp_path: Any) -> None:
    second = other(site, tmp_path)
    with site.service.database.write() as connection:
        _, secret = keys.create_key(connection, tenant="plant", name="reader", scopes=["read"])
    client = site.app.test_client()
    client.post("/v1/session", json={"key": secret})
    assert "Activate" not in client.get(f"/models/{second}?confirm=activate").text
    assert client.post(f"/models/{second}/activate", headers=ORIGIN).status_code == 403


def test_the_matrix_counts_each_image_of_the_test_part_once(shipped: dict[str, Any]) -> None:
    matrix = cards.matrix(shipped)
    assert matrix is not None
    assert sum(matrix) == shipped["test"]["pictures"]
    assert matrix.escapes == shipped["test"]["escapes"]


def test_the_curve_of_risk_ends_at_the_errors_without_review(shipped: dict[str, Any]) -> None:
    coverage = curves.risk_coverage(shipped)
    assert coverage is not None
    x, y = map(float, coverage.points.split()[-1].split(","))
    test = shipped["test"]
    assert x == 100.0, "a model without review judges every image"
    all_errors = (test["escapes"] + test["false_rejects"]) / test["pictures"]
    assert (100 - y) / 100 * coverage.most == pytest.approx(all_errors, abs=0.004), "bins of half a log-odds"
    assert coverage.share == 1 - test["reviewed"] / test["pictures"]
    assert coverage.risk < all_errors


@pytest.mark.parametrize("left_out", ["test", "reference", "operating_point", "training", "metrics", "speed"])
def test_a_card_that_lacks_a_part_is_shown_without_it(shipped: dict[str, Any], left_out: str) -> None:
    card = {name: value for name, value in json.loads(json.dumps(shipped)).items() if name != left_out}
    assert cards.figures([card, {}])
    cards.matrix(card)
    curves.training_curves(card)
    curves.risk_coverage(card)
    curves.roc(card, cards.matrix(card))
    curves.precision_recall(card, cards.matrix(card))


def test_a_test_part_without_defects_shows_no_escape_rate(shipped: dict[str, Any]) -> None:
    shipped["test"]["escape_rate"] = {"value": None, "low": 0.0, "high": 1.0}
    [accuracy, *_], titles = cards.figures([shipped]), [row.title for row in cards.figures([shipped])]
    assert accuracy.values != ["–"]
    assert not any(title.startswith("Escapes") for title in titles)


def test_the_models_threshold_lies_on_its_curves(shipped: dict[str, Any]) -> None:
    matrix = cards.matrix(shipped)
    for curve in (curves.roc(shipped, matrix), curves.precision_recall(shipped, matrix)):
        assert curve is not None
        points = [tuple(map(float, point.split(","))) for point in curve.points.split()]
        assert min(math.dist(point, (curve.x, curve.y)) for point in points) < 2.0, "in a field of 100 by 100"
        assert all(0 <= place <= 100 for point in points for place in point)
    ends = curves.roc(shipped, matrix)
    assert ends is not None
    assert (ends.points.split()[0], ends.points.split()[-1]) == ("0.0,100.0", "100.0,0.0")


def test_the_curves_of_the_training_fill_the_field(shipped: dict[str, Any]) -> None:
    drawn = curves.training_curves(shipped)
    assert [name for name, _ in drawn] == ["train_loss", "validation_loss"]
    heights = [float(point.split(",")[1]) for _, points in drawn for point in points.split()]
    assert min(heights) == 0.0
    assert max(heights) <= 100.0
