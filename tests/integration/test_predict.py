"""An image in, its verdict in the answer; and the health of the running installation."""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.harness.application import application
from tests.harness.forms import as_form, multipart
from tests.harness.processes import until
from tests.harness.stack import Stack, running

pytestmark = pytest.mark.timeout(180)
PATHS = ("/v1/predict", "/predict")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Stack]:
    """Web and one interactive worker, on SQLite."""
    with running(tmp_path_factory.mktemp("s"), [artifact], "web", "interactive") as made:
        until(lambda: workers(made), 60, "the worker is there")
        yield made


@pytest.fixture(scope="module")
def image(images: dict[str, bytes]) -> bytes:
    return images["part-000.jpg"]


def answers(stack: Stack) -> bool:
    try:
        return stack.get("/livez")[0] == 200
    except OSError:
        return False


def workers(stack: Stack) -> list[dict[str, Any]]:
    try:
        return list(stack.get("/v1/workers")[1]["data"])
    except OSError:
        return []


def predict(stack: Stack, path: str, files: dict[str, bytes]) -> tuple[int, Any]:
    content_type, body = multipart(files)
    status, _, answer = stack.request("POST", path, body, Content_Type=content_type)
    return status, json.loads(answer)


@pytest.mark.parametrize("path", PATHS)
def test_a_form_with_one_image_is_answered_with_the_original_fields(
    stack: Stack, image: bytes, path: str
) -> None:
    status, answer = predict(stack, path, {"part.jpg": image})
    assert status == 200, answer
    assert answer["filename"] == "part.jpg"
    assert answer["prediction"] in {"defect", "no_defect", "review"}
    assert answer["confidence"] == max(answer["probability"], 1 - answer["probability"])
    item = answer["item"]
    assert (item["status"], item["verdict"], item["score"]) == (
        "succeeded",
        answer["prediction"],
        answer["probability"],
    )
    assert stack.get(f"/v1/items/{item['id']}")[1] == item


def test_a_second_field_in_which_nothing_was_chosen_is_ignored(stack: Stack, image: bytes) -> None:
    form = as_form(("file", "", b""), ("image", "part.jpg", image), ("files", "", b""))
    status, _, answer = stack.request("POST", "/predict", form["data"], Content_Type=form["content_type"])
    assert (status, json.loads(answer)["filename"]) == (200, "part.jpg")


@pytest.mark.parametrize("path", PATHS)
def test_the_body_may_be_the_image_itself(stack: Stack, image: bytes, path: str) -> None:
    status, _, body = stack.request("POST", path, image, Content_Type="image/jpeg", X_Filename="raw.jpg")
    assert (status, json.loads(body)["filename"]) == (200, "raw.jpg")


def test_a_prediction_is_durable_before_it_is_answered(
    tmp_path: Path, artifact: Path, broker_url: str, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes are on the disk before a worker is told."""
    happened: list[str] = []
    fdatasync = os.fdatasync
    with application(tmp_path, artifact, broker_url) as app:
        hold = app.service.waiting.hold

        def synced(descriptor: int) -> None:
            happened.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).suffix)
            fdatasync(descriptor)

        def waiting(*arguments: Any, **named: Any) -> Any:
            happened.append("waits")
            app.work("interactive")
            return hold(*arguments, **named)

        monkeypatch.setattr(os, "fdatasync", synced)
        monkeypatch.setattr(app.service.waiting, "hold", waiting)
        answer = app.call("POST", "/predict", data=image, content_type="image/jpeg")
    assert answer.status_code == 200, answer.text
    assert happened == [".tmp", "waits"]  # synced, then renamed to its final name


def test_the_same_image_has_the_same_score_each_time(stack: Stack, image: bytes) -> None:
    scores = {predict(stack, "/predict", {"a.jpg": image})[1]["probability"] for _ in range(3)}
    assert len(scores) == 1


def sixteen_bits() -> bytes:
    buffer = io.BytesIO()
    Image.new("I;16", (64, 64), 4000).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff\xd8\xff and no more", "corrupt_image"),
        (b"", "corrupt_image"),
        (b"plain text", "unsupported_media"),
        (sixteen_bits(), "unsupported_media"),
    ],
    ids=["cut off", "empty", "text", "16 bits"],
)
def test_an_image_that_cannot_be_read_is_422_with_its_code(stack: Stack, data: bytes, code: str) -> None:
    status, problem = predict(stack, "/v1/predict", {"part.jpg": data})
    assert (status, problem["status"], problem["code"]) == (422, 422, code)


def test_two_images_or_none_are_too_many_or_few(stack: Stack, image: bytes) -> None:
    status, problem = predict(stack, "/v1/predict", {"a.jpg": image, "b.jpg": image})
    assert (status, problem["code"]) == (400, "one_image_expected")
    status, problem = predict(stack, "/v1/predict", {})
    assert (status, problem["code"]) == (400, "one_image_expected")


def test_single_images_are_not_among_the_batches(stack: Stack, image: bytes) -> None:
    predict(stack, "/v1/predict", {"a.jpg": image})
    assert stack.get("/v1/batches")[1]["data"] == []
    assert stack.get("/v1/batches?origin=predict")[1]["data"][0]["priority"] == "interactive"


def test_the_model_may_be_named(stack: Stack, image: bytes) -> None:
    for model, expected in (("untrained", 200), ("no-such", 422)):
        status, _, _ = stack.request("POST", f"/v1/predict?model={model}", image, Content_Type="image/jpeg")
        assert status == expected


def test_the_worker_says_what_it_runs_on(stack: Stack) -> None:
    (worker,) = workers(stack)
    assert (worker["lanes"], worker["engine"], worker["device"], worker["threads"]) == (
        ["interactive"], "onnxruntime", "cpu", 1,
    )  # fmt: skip
    (model,) = stack.get("/v1/models")[1]["data"]
    assert worker["models"] == [model["id"]]
    assert (worker["host"], worker["pid"]) == (None, None), "told to operators"


def test_readiness_names_the_lane_that_nobody_serves(stack: Stack) -> None:
    status, answer = stack.get("/readyz")
    assert (status, answer["status"]) == (503, "not_ready")
    assert answer["checks"] == {
        "database": "ok",
        "broker": "ok",
        "worker": "no live worker for normal",
        "blocked": "ok",
    }
    assert stack.get("/livez") == (200, {"status": "ok"})


def test_thumbnails_are_drawn_by_the_worker_when_asked_for(stack: Stack, image: bytes) -> None:
    item = predict(stack, "/v1/predict", {"a.jpg": image})[1]["item"]
    status, headers, data = stack.request("GET", f"/v1/items/{item['id']}/thumbnail")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    with Image.open(io.BytesIO(data)) as thumbnail:
        assert max(thumbnail.size) <= 192


def test_without_a_verdict_in_time_the_answer_is_to_try_again(
    tmp_path: Path, artifact: Path, broker_url: str, image: bytes
) -> None:
    with application(tmp_path, artifact, broker_url, predict_wait_s=0.5) as app:
        response = app.call("POST", "/v1/predict", data=image, content_type="image/jpeg")
        assert (response.status_code, response.get_json()["code"]) == (503, "no_verdict_yet")
        assert int(response.headers["Retry-After"]) >= 1
        app.work("interactive")
        assert app.get("/v1/batches?origin=predict")["data"][0]["outcome"] == "all_succeeded"


def test_readiness_misses_the_broker_while_reading_goes_on(tmp_path: Path, artifact: Path) -> None:
    with running(tmp_path, [artifact], "web") as own:
        until(lambda: answers(own), 30, "the web process answers")
        own.kill("valkey")
        until(
            lambda: own.get("/readyz")[1]["checks"]["broker"].startswith("away"), 30, "the broker is missed"
        )
        assert own.get("/livez")[0] == 200
        assert own.get("/v1/batches?origin=predict")[0] == 200
