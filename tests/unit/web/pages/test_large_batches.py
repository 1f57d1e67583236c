"""Pages of batches that are too large to sort or to count at each reading look at a bounded number of items."""

import re
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from shared.lifecycle import diff_counts, score_bins, score_order
from shared.store.tables import DiffCounts
from tests.harness.site import Site
from web.resources import items, tiles

_VERDICTS = ["no_defect", "no_defect", "defect", "no_defect", "no_defect", "no_defect", "defect", "review"]


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "LOOKED_AT", 3)
    monkeypatch.setattr(items, "NEIGHBOURS", 2)


def large(site: Site, *others: tuple[str | None, float | None, str | None]) -> str:
    """A batch of an item for each verdict, and others."""
    judged = [(verdict, 0.5, None) for verdict in _VERDICTS]
    batch = site.submit([f"{place}.png" for place in range(len(judged) + len(others))])
    site.decide([*judged, *others])
    return str(batch["id"])


def walk(site: Site, address: str) -> Iterator[str]:
    """The pages of a walk by their buttons."""
    browser = site.signed_in()
    while True:
        page = browser.get(address)
        assert page.status_code == 200, page.text
        yield page.text
        following = re.search(r'<p class="more">.*?href="([^"]*cursor=[^"]*)"', page.text, re.DOTALL)
        if following is None:
            return
        address = following[1].replace("&amp;", "&")


def shown(pages: list[str]) -> list[str]:
    return [place for page in pages for place in re.findall(r'<p class="file" title="(\d+)\.png"', page)]


def bars(page: str) -> list[str]:
    """The bars of the histogram."""
    return re.findall(r'<rect class="part', page.partition('id="bars"')[2].partition("</g>")[0])


def test_a_walk_shows_each_item_once_and_says_how_far_it_has_looked(site: Site) -> None:
    batch = large(site)
    assert shown([*walk(site, f"/batches/{batch}")]) == [str(place) for place in range(8)]
    for verdict in ("defect", "no_defect", "review"):
        wanted = [str(place) for place, each in enumerate(_VERDICTS) if each == verdict]
        pages = [*walk(site, f"/batches/{batch}?verdict={verdict}")]
        assert shown(pages) == wanted
        assert [re.findall(r"Looked at (\d+) of 8 images", page) for page in pages] == [["3"], ["6"], []]
        assert all("In the order of the batch" in page for page in pages if shown([page]))
    first = next(walk(site, f"/batches/{batch}?verdict=review"))
    assert "None among the images that this page looked at" in first


def test_a_kind_that_no_item_has_is_known_from_the_counts(site: Site) -> None:
    [page] = walk(site, f"/batches/{large(site)}?status=failed")
    assert "No item is in the state" in page
    pages = [*walk(site, f"/batches/{large(site, (None, None, 'corrupt_image'))}?status=failed")]
    assert ["8.png" in page for page in pages] == [False, False, True]


def test_a_small_batch_shows_the_highest_scores_first(site: Site) -> None:
    batch = site.submit(["0.png", "1.png", "2.png"])["id"]
    site.decide([("no_defect", 0.1, None), ("defect", 0.9, None), ("defect", 0.7, None)])
    [page] = walk(site, f"/batches/{batch}")
    assert shown([page]) == ["1", "2", "0"]
    assert "In the order of the batch" not in page


def test_the_next_defect_is_looked_for_among_some_neighbours_and_then_from_the_last_of_them(
    site: Site,
) -> None:
    batch = large(site)
    listed = site.client.get(f"/v1/batches/{batch}/items", headers=site.bearer).get_json()["data"]
    ids, browser, seen = [item["id"] for item in listed], site.signed_in(), []
    address = f"/items/{ids[2]}?verdict=defect"
    while address:
        page = browser.get(address).text
        following = re.search(r'rel="next" href="(/items/(\w+)[^"]*)"[^>]*>([^<]*)<', page)
        seen.append((ids.index(following[2]), following[3]) if following else None)
        address = following[1] if following else ""
    assert seen == [(5, "Look further"), (6, "Next"), None]
    page = browser.get(f"/items/{ids[6]}?verdict=defect").text
    assert f'rel="prev" href="/items/{ids[3]}?verdict=defect"' in page and "Look further back" in page


def test_an_ended_batch_is_put_in_order_and_then_shows_the_highest_scores_first(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_order, "LARGE", 3)
    monkeypatch.setattr(tiles, "TILES", 2)
    scores = [0.1, 0.7, 0.45, 0.9, 0.7, 0.2, 0.65, 0.5]
    names = [f"{place}.png" for place in range(9)]
    batch = site.submit(names)["id"]
    words = ["defect" if score > 0.6 else "review" if score >= 0.4 else "no_defect" for score in scores]
    site.decide([*((word, score, None) for word, score in zip(words, scores, strict=True)),
                 (None, None, "corrupt_image")])  # fmt: skip
    late = walk(site, f"/batches/{batch}")
    first = next(late)
    assert "so many images take a moment to be sorted" in first
    with site.service.database.read() as connection:
        assert score_order.asked(connection, 10) == [batch]
    assert "The scores are being counted" in first and not bars(first)
    row = score_order.make(site.service.database, batch)
    assert row is not None
    score_bins.of(site.service.database, row)
    assert shown([first, *late]) == [str(place) for place in range(9)], "a walk ends as it began"
    order = ["3", "1", "4", "6", "7", "2", "5", "0", "8"]
    pages = [*walk(site, f"/batches/{batch}")]
    assert shown(pages) == order and len(pages) == 5
    assert "The scores are being counted" not in pages[0] and bars(pages[0])
    assert all("Items, the highest score first" in page for page in pages if shown([page]))
    assert shown([*walk(site, f"/batches/{batch}?verdict=defect")]) == ["3", "1", "4", "6"]
    listed = site.client.get(f"/v1/batches/{batch}/items?sort=-score&limit=9", headers=site.bearer).get_json()
    assert [item["filename"] for item in listed["data"]] == [f"{place}.png" for place in order]


def test_a_large_diff_is_walked_in_bounded_steps_and_its_counts_are_made_once(site: Site) -> None:
    first = large(site)
    answer = site.client.post(
        f"/v1/batches/{first}/rerun", json={"model": "bolts", "priority": "normal"}, headers=site.bearer
    )
    second = answer.get_json()["id"]
    path, browser = f"/batches/{first}/diff/{second}", site.signed_in()
    assert "counted when both batches have ended" in browser.get(path).text
    site.decide([("defect", 0.9, None) for _ in _VERDICTS])
    pages = [*walk(site, path)]
    changed = [place for page in pages for place in re.findall(r"<td><bdi>(\d+)\.png", page)]
    assert changed == [str(place) for place, each in enumerate(_VERDICTS) if each != "defect"]
    assert "are being counted" in pages[0] and 'id="counts"' not in pages[0]
    with site.service.database.read() as connection:
        [asked] = diff_counts.asked(connection, 10)
    diff_counts.count(site.service.database, *asked)
    assert re.findall(r">(\d+)</a> <small>changed</small>", browser.get(path).text) == ["5", "1"]
    swapped = browser.get(f"/batches/{second}/diff/{first}").text
    assert re.findall(r"before=defect&amp;after=(\w+)", swapped) == ["defect", "no_defect", "review"]
    rescored = site.client.post(
        f"/v1/batches/{second}/rescore",
        json={"threshold": 1.0, "review_band": [1.0, 1.0]},
        headers=site.bearer,
    )
    assert rescored.status_code == 200
    assert "are being counted" in browser.get(path).text, "those of the verdicts before"
    counts = site.client.get(f"/v1{path}", headers=site.bearer).get_json()["counts"]
    assert {(each["before"], each["after"]): each["count"] for each in counts} == {
        ("defect", "no_defect"): 2, ("no_defect", "no_defect"): 5, ("review", "no_defect"): 1
    }  # fmt: skip
    assert 'id="counts"' in browser.get(path).text, "a request of the API has counted"
    for batch in (second, first):
        assert site.client.delete(f"/v1/batches/{batch}", headers=site.bearer).status_code in (200, 202, 204)
    with site.service.database.read() as connection:
        assert connection.execute(select(DiffCounts.a)).all() == []
