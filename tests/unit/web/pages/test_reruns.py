"""A batch is judged again from its page, and a page compares both batches image by image."""

import re
from typing import Any

from shared.access import keys
from tests.harness.site import ORIGIN, Site


def judged_twice(site: Site) -> tuple[str, str]:
    """A batch and its rerun: one image changes from review to defect, one from no defect to failed, one stays."""
    first = site.submit(["a.png", "b<2>.png", "c.png"], name="first")["id"]
    site.decide([("review", 0.5, None), ("no_defect", 0.1, None), ("defect", 0.9, None)])
    asked: dict[str, Any] = {"model": "bolts", "priority": "normal"}
    answer = site.client.post(f"/v1/batches/{first}/rerun", json=asked, headers=site.bearer)
    site.decide([("defect", 0.8, None), (None, None, "inference_failed"), ("defect", 0.95, None)])
    return first, answer.get_json()["id"]


def test_a_batch_is_judged_again_by_another_version_from_its_page(site: Site) -> None:
    batch, browser = site.submit(["a.png"]), site.signed_in()
    assert "Judge again" not in browser.get(f"/batches/{batch['id']}").text, "it still runs"
    site.decide([("defect", 0.9, None)])
    answer = browser.post(f"/batches/{batch['id']}/rerun", data={"model": "bolts"}, headers=ORIGIN)
    assert answer.status_code == 303
    page = browser.get(answer.location).text
    assert f'href="/batches/{batch["id"]}/diff/{answer.location.removeprefix("/batches/")}"' in page
    assert browser.post(f"/batches/{batch['id']}/rerun", data={}, headers=ORIGIN).status_code == 400
    with site.service.database.write() as connection:
        _, secret = keys.create_key(connection, tenant="plant", name="reader", scopes=["read"])
    reader = site.app.test_client()
    reader.post("/v1/session", json={"key": secret})
    refused = reader.post(f"/batches/{batch['id']}/rerun", data={"model": "bolts"}, headers=ORIGIN)
    assert refused.status_code == 403


def test_the_page_of_a_diff_counts_the_changes_and_shows_each_image(site: Site) -> None:
    (first, second), browser = judged_twice(site), site.signed_in()
    path = f"/batches/{first}/diff/{second}"
    page = browser.get(path).text
    assert "a.png" in page and "b&lt;2&gt;.png" in page and ">c.png<" not in page
    links = re.findall(rf'href="{path}\?before=(\w+)&amp;after=(\w+)"[^>]*>(\d+)</a>', page)
    assert sorted(links) == [
        ("defect", "defect", "1"),
        ("no_defect", "failed", "1"),
        ("review", "defect", "1"),
    ]
    for before, after, name in (("review", "defect", "a.png"), ("defect", "defect", "c.png")):
        shown = browser.get(f"{path}?before={before}&after={after}").text
        assert re.findall(r"<td><bdi>(.*?)</bdi>", shown) == [name]
        assert "All that changed" in shown
    assert "No image has these outcomes" in browser.get(f"{path}?before=failed").text
    assert browser.get(f"{path}?before=nothing").status_code == 400
    other = site.submit(["z.png"])["id"]
    assert browser.get(f"/batches/{first}/diff/{other}").status_code == 409
    assert browser.get(f"/batches/{first}/diff/bat_none").status_code == 404
