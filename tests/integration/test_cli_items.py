"""`gonogo items`, `item`, `models card` and `submit --inputs` against a real service."""

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from shared.cli.main import main
from tests.harness.application import Application

Run = Callable[..., str]


class _Silent(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None: ...


@pytest.fixture
def run(app: Application, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs a command that must succeed, and returns what it prints."""
    server = make_server("127.0.0.1", 0, app.flask, threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    where = ["--url", f"http://127.0.0.1:{server.server_port}", "--key", app.key]

    def command(*argv: str) -> str:
        status = main([*argv, *where])
        out, err = capsys.readouterr()
        assert status == 0, err
        return out

    yield command
    server.shutdown()
    thread.join(30)
    server.server_close()


def test_inputs_with_tags_are_sent_listed_and_shown_with_their_evidence(
    app: Application, run: Run, images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = [
        {
            "data": f"data:image/jpeg;base64,{base64.b64encode(data).decode()}", "filename": name,
            "part_id": f"SN-{place // 2}", "view": f"view-{place % 2}", "metadata": {"camera": str(place)},
        }
        for place, (name, data) in enumerate(list(images.items())[:4])
    ]  # fmt: skip
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(map(json.dumps, inputs))))
    batch = json.loads(run("submit", "--inputs", "-", "--lot", "L-1", "--json"))
    assert (batch["counts"]["total"], batch["lot"]) == (4, "L-1")
    app.work()

    def listed(*filters: str) -> list[str]:
        return [item["filename"] for item in json.loads(run("items", batch["id"], *filters, "--json"))]

    names = [str(each["filename"]) for each in inputs]
    assert listed() == names
    assert listed("--part", "SN-1") == names[2:]
    assert listed("--view", "view-1", "--limit", "1") == names[1:2]
    assert listed("--metadata", "camera=3") == names[3:]
    assert listed("--status", "failed", "--status", "cancelled") == []
    assert listed("--name", names[2]) == names[2:3]
    scores = [item["score"] for item in json.loads(run("items", batch["id"], "--sort", "-score", "--json"))]
    assert scores == sorted(scores, reverse=True)
    assert names[0] in run("items", batch["id"], "--min-score", "0", "--max-score", "1")
    [item] = json.loads(run("items", batch["id"], "--name", names[0], "--json"))
    shown = run("item", item["id"])
    for evidence in (item["id"], item["model_sha256"], item["preprocessing_sha256"], item["worker"]):
        assert evidence in shown


def test_the_card_of_a_model_is_shown(app: Application, run: Run) -> None:
    assert app.model_id in run("models", "card", app.model_id)
    whole = json.loads(run("models", "card", app.model_id, "--json"))
    assert whole == app.get(f"/v1/models/{app.model_id}/card")


def test_a_drawing_that_has_no_place_is_refused_before_the_service_is_asked(tmp_path: Path) -> None:
    argv = [
        "item",
        "itm_x",
        "--heatmap",
        str(tmp_path / "none" / "a.png"),
        "--url",
        "http://127.0.0.1:1",
        "--key",
        "k",
    ]
    assert main(argv) == 2
