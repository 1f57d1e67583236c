"""Rescoring over HTTP: preview, change, repetition, refusals, and everything that shows the batch afterwards."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from shared.access import keys
from shared.store.tables import Delivery, Item
from tests.harness.site import Site
from web.resources import batches, results
from web.resources.results import CutShort


def ended(site: Site, **options: Any) -> dict[str, Any]:
    """A batch with the scores 0.93, 0.55, 0.47, 0.08 and an image that failed; the model's band is 0.4 to 0.6."""
    batch = site.submit(["a.png", "b.png", "c.png", "d.png", "cut.png"], **options)
    judged = [
        ("defect", 0.93, None),
        ("review", 0.55, None),
        ("review", 0.47, None),
        ("no_defect", 0.08, None),
    ]
    site.decide([*judged, (None, None, "corrupt_image")])
    return batch


def rescore(
    site: Site, batch: dict[str, Any], expect: int = 200, key: str | None = None, **asked: Any
) -> Any:
    headers = site.bearer if key is None else {"Authorization": f"Bearer {key}"}
    answer = site.client.post(f"/v1/batches/{batch['id']}/rescore", json=asked, headers=headers)
    assert answer.status_code == expect, answer.text
    return answer.get_json()


def shown(site: Site, batch: dict[str, Any]) -> tuple[dict[str, Any], str]:
    answer = site.client.get(f"/v1/batches/{batch['id']}", headers=site.bearer)
    return answer.get_json(), answer.headers["ETag"]


def items(site: Site, batch: dict[str, Any]) -> list[dict[str, Any]]:
    answer = site.client.get(f"/v1/batches/{batch['id']}/items", headers=site.bearer)
    found: list[dict[str, Any]] = answer.get_json()["data"]
    return found


def test_a_preview_tells_what_changes_and_changes_nothing(site: Site) -> None:
    batch = ended(site)
    before = shown(site, batch)
    told = rescore(site, batch, threshold=0.5, review_band=[0.5, 0.5], dry_run=True)
    assert told["items"] == [
        {"before": "review", "after": "defect", "count": 1},
        {"before": "review", "after": "no_defect", "count": 1},
    ]
    assert (told["dry_run"], told["revision"], told["created_at"]) == (True, 1, None)
    assert told["previous_operating_point"] == {"threshold": 0.5, "review_band": [0.4, 0.6]}
    assert shown(site, batch) == before
    history = site.client.get(f"/v1/batches/{batch['id']}/rescorings", headers=site.bearer).get_json()
    assert history["data"] == []


def test_a_rescoring_shows_in_batch_items_results_events_and_trail(site: Site) -> None:
    batch = ended(site, webhook={"url": "https://receiver.example/", "events": ["batch.rescored"]})
    _, tag = shown(site, batch)
    told = rescore(site, batch, threshold=0.1, review_band=[0.05, 0.1])
    assert (told["revision"], told["dry_run"]) == (1, False)
    now, new_tag = shown(site, batch)
    assert tag != new_tag
    assert now["verdicts"] == {"defect": 3, "no_defect": 0, "review": 1}
    assert now["operating_point"] == {"threshold": 0.1, "review_band": [0.05, 0.1]}
    assert now["revision"] == 1
    one = items(site, batch)
    assert [item["verdict"] for item in one] == ["defect", "defect", "defect", "review", None]
    # An item whose verdict stays has the new point too, although its row was not written.
    assert {(item["threshold"], tuple(item["review_band"])) for item in one[:4]} == {(0.1, (0.05, 0.1))}
    assert site.client.get(f"/v1/items/{one[0]['id']}", headers=site.bearer).get_json() == one[0]
    assert one[3]["reasons"] == ["low_confidence"]
    answer = site.client.get(f"/v1/batches/{batch['id']}/results?format=csv", headers=site.bearer)
    assert answer.headers["X-Revision"] == "1"
    assert answer.text.split("\r\n")[1].split(",")[4:7] == ["defect", "0.93", "0.1"]
    stream = site.client.get(f"/v1/batches/{batch['id']}/events", headers=site.bearer, buffered=True).text
    blocks = [block.split("\n") for block in stream.split("\n\n") if "event: batch." in block]
    told_events = {block[-2]: block[-1] for block in blocks}
    done = json.loads(told_events["event: batch.completed"][6:])
    assert (done["operating_point"]["threshold"], done["verdicts"]["defect"], done["revision"]) == (0.5, 1, 0)
    assert json.loads(told_events["event: batch.rescored"][6:])["verdicts"]["defect"] == 3
    with site.service.database.read() as connection:
        bodies = list(connection.scalars(select(Delivery.body).where(Delivery.event == "batch.rescored")))
    assert [json.loads(body)["data"]["revision"] for body in bodies] == [1]
    entry = site.client.get("/v1/audit?action=batch.rescore", headers=site.bearer).get_json()["data"][0]
    assert entry["object_id"] == batch["id"]
    assert entry["detail"] == {"revision": 1, "threshold": 0.1, "review_band": [0.05, 0.1]}
    [line] = site.client.get(f"/v1/batches/{batch['id']}/rescorings", headers=site.bearer).get_json()["data"]
    assert line == {name: value for name, value in told.items() if name not in ("dry_run", "flipped_parts")}


def test_a_repeated_rescoring_gives_the_first_answer(site: Site) -> None:
    batch = ended(site)
    first = rescore(site, batch, threshold=0.5, review_band=[0.5, 0.5])
    _, tag = shown(site, batch)
    assert rescore(site, batch, threshold=0.5, review_band=[0.5, 0.5]) == first
    assert shown(site, batch)[1] == tag


def test_a_rescoring_that_another_overtook_is_refused_and_told_who_came_first(site: Site) -> None:
    batch = ended(site)
    with site.service.database.write() as connection:
        _, ann = keys.create_key(connection, tenant="plant", name="Ann", scopes=["review"])
    seen = shown(site, batch)[0]["revision"]
    told = rescore(site, batch, key=ann, threshold=0.5, review_band=[0.5, 0.5], expected_revision=seen)
    for asked in ({"threshold": 0.7}, {"threshold": 0.45, "dry_run": True}, {"review_band": [0.4, 0.5]}):
        problem = rescore(site, batch, expect=409, expected_revision=seen, **asked)
        assert problem["code"] == "overtaken"
        assert "“Ann”" in problem["detail"] and "threshold 0.5, review 0.5 to 0.5" in problem["detail"]
    # The answer was lost: the same request again is no conflict with itself.
    assert rescore(site, batch, threshold=0.5, review_band=[0.5, 0.5], expected_revision=seen) == told
    assert shown(site, batch)[0]["revision"] == told["revision"] == 1
    assert rescore(site, batch, threshold=0.45, review_band=[0.4, 0.5], expected_revision=1)["revision"] == 2


def test_the_point_of_the_first_judgement_changes_nothing(site: Site) -> None:
    batch = ended(site)
    told = rescore(site, batch, threshold=0.5)
    assert (told["revision"], told["items"]) == (0, [])
    assert shown(site, batch)[0]["revision"] == 0


@pytest.mark.parametrize(
    ("asked", "status", "pointer"),
    [
        ({"threshold": 0.9}, 422, "/threshold"),  # outside the band that the batch has
        ({"review_band": [0.6, 0.7]}, 422, "/review_band"),
        ({"review_band": [0.7, 0.6]}, 422, "/review_band"),
        ({"threshold": 1.5}, 400, "/threshold"),
        ({"limit": 0.5}, 400, "/limit"),
    ],
)
def test_a_point_that_does_not_fit_is_refused(
    site: Site, asked: dict[str, Any], status: int, pointer: str
) -> None:
    problem = rescore(site, ended(site), expect=status, **asked)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_a_batch_that_runs_is_not_rescored(site: Site) -> None:
    batch = site.submit(["a.png"])
    assert rescore(site, batch, expect=409, threshold=0.5)["code"] == "wrong_state"


def test_a_key_needs_the_scope_review_and_the_tenant(site: Site) -> None:
    batch = ended(site)
    secrets = {}
    for tenant, scopes in (("plant", ["read", "submit"]), ("plant", ["review"]), ("other", ["review"])):
        with site.service.database.write() as connection:
            _, secrets[tenant, scopes[0]] = keys.create_key(
                connection, tenant=tenant, name="k", scopes=scopes
            )
    rescore(site, batch, expect=403, key=secrets["plant", "read"], threshold=0.5)
    rescore(site, batch, expect=404, key=secrets["other", "review"], threshold=0.5)
    rescore(site, batch, key=secrets["plant", "review"], threshold=0.55)


def test_results_that_a_rescoring_overtakes_break_off(site: Site) -> None:
    batch = ended(site)
    row = batches.find(site.service, "plant", batch["id"])
    blocks = results.blocks(site.service.database, row, {}, results.ALL)
    next(blocks)
    rescore(site, batch, threshold=0.5, review_band=[0.5, 0.5])
    with pytest.raises(CutShort, match="rescored"):
        list(blocks)


def test_the_kind_of_a_defect_comes_and_goes_with_its_verdict(site: Site) -> None:
    batch = ended(site)
    with site.service.database.write() as connection:
        connection.execute(Item.__table__.update().values(kind="scratch"))  # type: ignore[attr-defined]
    rescore(site, batch, threshold=0.95, review_band=[0.95, 0.95])
    assert items(site, batch)[0]["kind"] is None
    rescore(site, batch, threshold=0.9, review_band=[0.9, 0.9])
    assert items(site, batch)[0]["kind"] == "scratch"
