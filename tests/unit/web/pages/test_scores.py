"""The histogram of a batch's page, and the form that rescores, without a script."""

import re
from typing import Any

import pytest

from shared.access import keys
from tests.harness.site import ORIGIN, Site
from web.pages.rescoring import BARS, bars


def ended(site: Site) -> str:
    batch = site.submit(["a.png", "b.png", "c.png"])
    site.decide([("defect", 0.93, None), ("review", 0.55, None), ("no_defect", 0.08, None)])
    return f"/batches/{batch['id']}"


def test_the_page_draws_each_score_in_the_colour_of_its_verdict(site: Site) -> None:
    page = site.signed_in().get(ended(site)).text
    drawn = re.findall(r'<rect class="part (\w+)" x="(\d+)"', page.partition('id="bars"')[2])[:3]
    assert drawn == [("no_defect", "8"), ("review", "55"), ("defect", "93")]


def test_the_form_rescores_and_leads_back(site: Site) -> None:
    path, client = ended(site), site.signed_in()
    form = {"low": "0.01", "threshold": "0.05", "high": "0.06"}
    answer = client.post(f"{path}/rescore", data=form, headers=ORIGIN)
    assert (answer.status_code, answer.location) == (303, path)
    page = client.get(path).text
    assert "Rescored 1 time" in page
    drawn = page.partition('id="bars"')[2].partition("</g>")[0]
    assert drawn.count('<rect class="part defect"') == 3


def test_a_page_that_another_overtook_rescores_nothing_and_says_who_did(site: Site) -> None:
    path, client = ended(site), site.signed_in()
    field = re.search(r'name="expected_revision" value="(\d+)"', client.get(path).text)
    assert field
    form = {"low": "0.1", "threshold": "0.2", "high": "0.3", "expected_revision": field[1]}
    assert client.post(f"{path}/rescore", data=form, headers=ORIGIN).status_code == 303
    answer = client.post(f"{path}/rescore", data={**form, "threshold": "0.25"}, headers=ORIGIN)
    assert answer.status_code == 409
    assert "“test”" in answer.text and f'href="{path}"' in answer.text
    assert "Rescored 1 time" in client.get(path).text


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"low": "0.5", "threshold": "much", "high": "0.6"}, 400),
        ({"low": "0.5", "threshold": "0.9", "high": "0.6"}, 422),
        ({"low": "nan", "threshold": "0.9", "high": "0.95"}, 400),
        ({}, 400),
        ({"low": "0.1", "threshold": "0.2", "high": "0.3", "expected_revision": "-1"}, 400),
    ],
)
def test_a_form_that_cannot_be_used_is_refused(site: Site, form: dict[str, str], status: int) -> None:
    assert site.signed_in().post(f"{ended(site)}/rescore", data=form, headers=ORIGIN).status_code == status


def test_a_key_that_may_only_read_sees_the_histogram_and_no_form(site: Site) -> None:
    path = ended(site)
    with site.service.database.write() as connection:
        _, secret = keys.create_key(connection, tenant="plant", name="reader", scopes=["read"])
    client = site.app.test_client()
    client.post("/v1/session", json={"key": secret})
    page = client.get(path).text
    assert 'id="bars"' in page
    assert 'id="rescore"' not in page
    form = {"low": "0.01", "threshold": "0.05", "high": "0.06"}
    assert client.post(f"{path}/rescore", data=form, headers=ORIGIN).status_code == 403


def test_a_batch_that_runs_has_no_histogram(site: Site) -> None:
    batch = site.submit(["a.png"])
    assert 'id="scores"' not in site.signed_in().get(f"/batches/{batch['id']}").text
    answer = site.client.get(f"/v1/batches/{batch['id']}/scores", headers=site.bearer)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "wrong_state")


def test_the_stacks_fill_the_field_and_keep_their_order() -> None:
    scores: Any = {
        "bins": 1000, "operating_point": {"threshold": 0.5, "review_band": [0.5, 0.5]},
        "items": [[0, 90, 10], [999, 25, 0]],
    }  # fmt: skip
    held, plain, last = bars(scores)
    assert (held["verdict"], plain["verdict"]) == ("review", "no_defect")
    assert (plain["y"], plain["height"], held["y"], held["height"]) == (0.0, 90.0, 90.0, 10.0)
    assert last == {"x": BARS - 1, "y": 50.0, "height": 50.0, "verdict": "defect"}
