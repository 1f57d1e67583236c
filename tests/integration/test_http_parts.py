"""Manifests and parts over HTTP: tags kept as sent, one verdict a part, one event a part."""

import csv
import io
import json
import zipfile
from typing import Any

import pytest
from sqlalchemy import select

from shared.lifecycle import endings
from shared.lifecycle import verdicts as recording
from shared.lifecycle.verdicts import Result
from shared.store.tables import Delivery
from tests.harness.application import Application
from tests.harness.forms import image_parts, options_part
from tests.harness.rows import claim_all

WEBHOOK = {"url": "https://receiver.example/x", "events": ["part.completed", "batch.completed"]}


def manifest(*lines: str, header: str = "filename,custom_id,part_id,view,metadata") -> Any:
    return ("manifest", "manifest.csv", "\n".join([header, *lines, ""]).encode())


def submit(app: Application, *parts: Any, key: str | None = None, **headers: Any) -> Any:
    answer = app.post_form("/v1/batches", *parts, key=key, **headers)
    assert answer.status_code == 202, answer.text
    return answer.get_json()


def decide(app: Application, by_seq: dict[int, str | None], priority: str = "low") -> list[str]:
    """Play the worker: record these verdicts (None fails the item) for the queued chunks; the deliveries owed."""
    owed: list[str] = []
    while claims := claim_all(app.database, lanes=[priority]):
        for held in claims:
            results = [
                Result(item.seq, verdict=verdict, score=0.5)
                if (verdict := by_seq[item.seq])
                else Result(item.seq, error_code="corrupt_image", error_detail="as told")
                for item in held.items
            ]
            with app.database.write() as connection:
                recorded, _ = recording.record(connection, [(held, results)], model_sha256="f" * 64)
            owed += recorded[0].deliveries
            with app.database.write() as connection:
                endings.complete(connection, held.batch_id)
    return owed


def names(count: int) -> list[str]:
    return [f"{number}.jpg" for number in range(count)]


@pytest.fixture
def few(images: dict[str, bytes]) -> dict[str, bytes]:
    return dict(zip(names(6), images.values(), strict=False))


LINES = (
    '0.jpg,c-0,4711,top,"{""camera"": 1, ""ü"": true}"',
    "1.jpg,c-1,4711,side,",
    "2.jpg,,4712,top,",
    "3.jpg,,4712,side,",
    "4.jpg,,,,",
)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_tags_are_kept_as_sent_and_shown_everywhere(
    app: Application, few: dict[str, bytes], first: bool, packed: bool
) -> None:
    sent = image_parts(few)
    if packed:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in few.items():
                archive.writestr(name, data)
        sent = [("archive", "parts.zip", file.getvalue())]
    notes = manifest(*LINES)
    options = options_part({"priority": "low"})
    batch = submit(app, options, *([notes, *sent] if first else [*sent, notes]))
    assert batch["parts"] == {"total": 2, "defect": 0, "no_defect": 0, "review": 0}
    path = f"/v1/batches/{batch['id']}"
    items = app.get(f"{path}/items")["data"]
    shown = [(item["custom_id"], item["part_id"], item["view"], item["metadata"]) for item in items]
    assert shown == [
        ("c-0", "4711", "top", {"camera": 1, "ü": True}), ("c-1", "4711", "side", {}),
        (None, "4712", "top", {}), (None, "4712", "side", {}), (None, None, None, {}), (None, None, None, {}),
    ]  # fmt: skip
    assert [item["part_id"] for item in app.results(batch["id"])] == [item["part_id"] for item in items]
    table = list(csv.DictReader(io.StringIO(app.call("GET", f"{path}/results?format=csv").text)))
    assert [row["view"] for row in table] == ["top", "side", "top", "side", "", ""]
    assert json.loads(table[0]["metadata"]) == {"camera": 1, "ü": True}
    for query, wanted in {
        "part_id=4712": [2, 3], "view=top": [0, 2], "custom_id=c-1": [1], "q=4.J": [4], "metadata.camera=1": [0],
        "metadata.ü=true": [0], "part_id=4711&view=side": [1],
    }.items():  # fmt: skip
        found = app.get(f"{path}/items?{query}")["data"]
        assert [int(item["filename"][0]) for item in found] == wanted, query
    decide(app, dict.fromkeys(range(6), "no_defect"))


def test_many_items_that_are_committed_before_the_manifest_get_their_tags(
    app: Application, images: dict[str, bytes]
) -> None:
    """The first chunks are claimed, and some recorded, while the upload goes on: their parts end once it is sealed."""
    lines = [f"{name},c{number},p{number // 2},," for number, name in enumerate(images)]
    batch = submit(app, options_part({"priority": "low"}), *image_parts(images), manifest(*lines))
    half = len(images) // 2
    assert batch["parts"]["total"] == half
    decide(app, {seq: "no_defect" if seq // 2 % 2 else "defect" for seq in range(len(images))})
    ended = app.get(f"/v1/batches/{batch['id']}")
    assert ended["parts"] == {"total": half, "defect": half // 2, "no_defect": half // 2, "review": 0}
    with_tags = app.get(f"/v1/batches/{batch['id']}/items?custom_id=c150")["data"]
    assert [item["part_id"] for item in with_tags] == ["p75"]


def test_a_manifest_that_does_not_fit_is_refused_with_lines(app: Application, few: dict[str, bytes]) -> None:
    def refused(*parts: Any) -> Any:
        answer = app.post_form("/v1/batches", *parts)
        assert answer.status_code == 422, answer.text
        problem = answer.get_json()
        assert problem["code"] == "invalid_manifest"
        return [(entry["code"], entry["line"], entry.get("filename")) for entry in problem["errors"]]

    sent = image_parts(few)
    for order in ([manifest("x.jpg,,,,"), *sent], [*sent, manifest("0.jpg,,,,", "x.jpg,,,,")]):
        assert refused(*order)[0] == ("unknown_file", (order[0][0] == "manifest" and 2) or 3, "x.jpg")
    twice = manifest("0.jpg,c,,,", "1.jpg,c,,,")
    assert refused(twice, *sent) == [("duplicate_custom_id", 3, "1.jpg")]
    assert app.post_form("/v1/batches", manifest(), manifest(), *sent).status_code == 400


def test_the_manifest_counts_for_the_idempotency_key(app: Application, few: dict[str, bytes]) -> None:
    sent, notes = [options_part({"priority": "low"}), *image_parts(few)], manifest("0.jpg,c,,,")
    first = submit(app, *sent, notes, Idempotency_Key="with-manifest")
    again = submit(app, *sent, notes, Idempotency_Key="with-manifest")
    assert again["id"] == first["id"]
    other = app.post_form("/v1/batches", *sent, manifest("0.jpg,d,,,"), Idempotency_Key="with-manifest")
    assert other.get_json()["code"] == "idempotency_key_reused"
    decide(app, dict.fromkeys(range(6), "no_defect"))


@pytest.mark.parametrize(
    ("options", "views", "verdict", "reasons"),
    [
        ({}, {"top": "defect", "side": "no_defect"}, "defect", []),
        ({}, {"top": "no_defect", "side": "no_defect"}, "no_defect", []),
        ({}, {"top": "no_defect", "side": "review"}, "review", ["view_in_review"]),
        ({}, {"top": "no_defect", "side": None}, "review", ["view_without_verdict"]),
        ({"part_rule": "all_defect"}, {"top": "defect", "side": "no_defect"}, "no_defect", []),
        ({"part_rule": "all_defect"}, {"top": "defect", "side": "defect"}, "defect", []),
        ({"part_rule": "all_defect"}, {"top": "defect", "side": None}, "review", ["view_without_verdict"]),
        ({"expected_views": ["top", "side"]}, {"top": "no_defect", "side": "no_defect"}, "no_defect", []),
        ({"expected_views": ["top", "back"]}, {"top": "defect", "side": "no_defect"}, "review", ["missing_view"]),
    ],
)  # fmt: skip
def test_a_part_has_the_verdict_of_its_views_and_one_event(
    app: Application, few: dict[str, bytes], options: Any, views: Any, verdict: str, reasons: list[str]
) -> None:
    key = app.make_key("parts", "submit", "read")
    lines = [f"{number}.jpg,,4711,{view}," for number, view in enumerate(views)]
    asked = options_part({"priority": "low", "lot": "L1", "webhook": WEBHOOK, **options})
    batch = submit(app, asked, manifest(*lines), *image_parts(dict(list(few.items())[:2])), key=key)
    path = f"/v1/batches/{batch['id']}"
    (open_part,) = app.get(f"{path}/parts?status=open", key=key)["data"]
    assert (open_part["status"], open_part["verdict"], open_part["finished_at"]) == ("open", None, None)
    owed = decide(app, dict(enumerate(views.values())))
    (part,) = app.get(f"{path}/parts", key=key)["data"]
    assert (part["status"], part["verdict"], part["reasons"]) == ("completed", verdict, reasons)
    assert [(view["view"], view["verdict"]) for view in part["views"]] == list(views.items())
    assert part["missing_views"] == (["back"] if reasons == ["missing_view"] else [])
    ended = app.get(path, key=key)
    assert ended["parts"] == {"total": 1, "defect": 0, "no_defect": 0, "review": 0, verdict: 1}
    with app.database.read() as connection:
        rows = connection.execute(select(Delivery.__table__).where(Delivery.batch_id == batch["id"])).all()
    events = {row.event: json.loads(row.body) for row in rows}
    assert sorted(row.event for row in rows) == ["batch.completed", "part.completed"]
    assert events["part.completed"]["data"] == part, "the event holds what GET shows"
    assert [row.id for row in rows if row.event == "part.completed"] == owed


def test_one_request_says_what_became_of_a_part(app: Application, few: dict[str, bytes]) -> None:
    key, sent = app.make_key("tracer", "submit", "read"), image_parts(few)
    for lot in ("L1", "L2"):
        asked = options_part({"priority": "low", "lot": lot, "order": f"O-{lot}"})
        submit(
            app,
            asked,
            manifest(*(f"{number}.jpg,,{4711 + number // 3},," for number in range(6))),
            *sent,
            key=key,
        )
        decide(app, {seq: "defect" if seq < 3 else "no_defect" for seq in range(6)})

    def found(query: str, **options: Any) -> list[tuple[str, str, str]]:
        parts = app.get(f"/v1/parts?{query}", key=options.get("key", key))["data"]
        return [(part["lot"], part["part_id"], part["verdict"]) for part in parts]

    assert found("part_id=4711") == [("L2", "4711", "defect"), ("L1", "4711", "defect")]
    assert found("part_id=4711&lot=L1") == [("L1", "4711", "defect")]
    assert found("order=O-L2") == [("L2", "4711", "defect"), ("L2", "4712", "no_defect")]
    assert found("verdict=no_defect") == [("L2", "4712", "no_defect"), ("L1", "4712", "no_defect")]
    assert found("part_id=4713") == found("part_id=4711", key=app.make_key("stranger", "read")) == []
    first = app.get("/v1/parts?limit=3", key=key)
    rest = app.get(f"/v1/parts?limit=3&cursor={first['next_cursor']}", key=key)
    assert [part["part_id"] for part in first["data"] + rest["data"]] == ["4711", "4712"] * 2
    assert rest["has_more"] is False


def test_a_cancelled_batch_ends_its_parts(app: Application, few: dict[str, bytes]) -> None:
    lines = [f"{number}.jpg,,{number % 2},," for number in range(6)]
    asked = options_part({"priority": "low", "webhook": WEBHOOK})
    batch = submit(app, asked, manifest(*lines), *image_parts(few))
    cancelled = app.call("POST", f"/v1/batches/{batch['id']}/cancel").get_json()
    assert cancelled["parts"] == {"total": 2, "defect": 0, "no_defect": 0, "review": 2}
    parts = app.get(f"/v1/batches/{batch['id']}/parts")["data"]
    assert [part["reasons"] for part in parts] == [["view_without_verdict"]] * 2
    assert app.call("DELETE", f"/v1/batches/{batch['id']}").status_code == 204
    assert app.get("/v1/parts?part_id=0")["data"] == []


def test_parts_whose_images_were_all_refused_end_with_the_submission(app: Application) -> None:
    batch = submit(app, manifest("0.jpg,,4711,,"), ("images", "0.jpg", b""))
    assert (batch["status"], batch["parts"]["review"]) == ("failed", 1)
