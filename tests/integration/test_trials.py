"""An uploaded model is `testing` until a worker has loaded it by trial, and only then of use."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from shared.registry import trials
from shared.store.tables import ModelVersion
from tests.harness.application import Application, application
from tests.harness.artifacts import write_untrained
from tests.harness.databases import migrated_database_url
from tests.harness.forged import forge, rubbish_network, with_self_test
from tests.harness.forms import image_parts, options_part
from tests.harness.processes import until
from tests.harness.stack import running
from worker.upkeep.site import open_site
from worker.upkeep.steps import trials as step

OCTETS = {"content_type": "application/octet-stream"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path, broker_url: str
) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("installation")
    with (
        migrated_database_url(request.param, folder) as url,
        application(folder, artifact, broker_url, url, republish_s=0.0) as made,
    ):
        yield made


def upload(app: Application, path: Path) -> Any:
    answer = app.call("POST", "/v1/models", data=path.read_bytes(), **OCTETS)
    assert answer.status_code == 201, answer.text
    return answer.get_json()


def shown(app: Application, model_id: str) -> Any:
    return next(model for model in app.get("/v1/models")["data"] if model["id"] == model_id)


def test_a_version_is_of_no_use_before_its_trial(
    app: Application, tmp_path: Path, images: dict[str, bytes]
) -> None:
    model = upload(app, write_untrained(tmp_path / "a.gonogo", seed=41, name="a"))
    assert (model["status"], model["active"], model["reason"]) == ("testing", False, None)
    for action in ("activate", "rollback"):
        refused = app.call("POST", f"/v1/models/{model['id']}/{action}")
        assert (refused.status_code, refused.get_json()["code"]) == (409, "model_not_ready")
    parts = [options_part({"model": model["id"]}), *image_parts(dict(list(images.items())[:1]))]
    answer = app.post_form("/v1/batches", *parts)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "model_not_ready")
    app.try_model(model["id"])
    assert shown(app, model["id"])["status"] == "ready"
    assert app.call("POST", f"/v1/models/{model['id']}/activate").status_code == 200
    assert app.call("POST", f"/v1/models/{app.model_id}/activate").status_code == 200


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        (rubbish_network, "cannot be loaded"),
        (with_self_test(lambda true: true + 1.0), "off by"),
    ],
    ids=["rubbish for a network", "other logits"],
)
def test_a_version_that_fails_its_trial_says_why_and_is_never_active(
    app: Application, artifact: Path, tmp_path: Path, forged: Any, reason: str
) -> None:
    path = forge(artifact, tmp_path / "forged.gonogo", forged)
    model = upload(app, path)
    app.try_model(model["id"])
    refused = shown(app, model["id"])
    assert refused["status"] == "refused"
    assert reason in refused["reason"]
    answer = app.call("POST", f"/v1/models/{model['id']}/activate").get_json()
    assert answer["code"] == "model_not_ready"
    assert reason in answer["detail"]
    assert upload(app, path)["status"] == "testing", "a refused version that is sent again is tried again"
    app.try_model(model["id"])


def test_a_trial_is_claimed_once_and_sent_again_where_it_was_lost(app: Application, tmp_path: Path) -> None:
    model_id = upload(app, write_untrained(tmp_path / "b.gonogo", seed=42, name="b"))["id"]
    site = open_site(app.service.settings)
    time.sleep(0.01)
    assert model_id in step.find(site, 10), "its message was lost"
    with app.database.write() as connection:
        assert trials.claim(connection, model_id, 60.0) is not None
        assert trials.claim(connection, model_id, 60.0) is None
    assert model_id not in step.find(site, 10), "a worker holds it"
    died_again = update(ModelVersion).where(ModelVersion.id == model_id)
    with app.database.write() as connection:
        connection.execute(died_again.values(trial_due_at=0.0))
    assert model_id in step.find(site, 10), "its worker died"
    step.mend(site, [model_id])
    with app.database.write() as connection:
        connection.execute(died_again.values(trial_due_at=0.0, trials=trials.MOST_TRIALS))
    app.try_model(model_id)
    lost = shown(app, model_id)
    assert lost["status"] == "refused"
    assert "did not come to an end" in lost["reason"]
    site.database.dispose()


def test_a_real_worker_tries_uploads_and_survives_the_forged_ones(
    tmp_path: Path, artifact: Path, images: dict[str, bytes]
) -> None:
    good = forge(artifact, tmp_path / "good.gonogo", with_self_test(seed=5))
    bad = forge(artifact, tmp_path / "bad.gonogo", rubbish_network)
    (tmp_path / "stack").mkdir()
    hook = tmp_path / "hook"
    hook.mkdir()
    # The first trial's process dies as it starts, as a network that crashes the library would make it.
    once = hook / "once"
    once.touch()
    (hook / "sitecustomize.py").write_text(
        "import os, pathlib, sys\n"
        f"once = pathlib.Path({str(once)!r})\n"
        "if 'shared.registry.trial' in sys.orig_argv and once.exists():\n"
        "    once.unlink()\n"
        "    os.kill(os.getpid(), 11)\n"
    )
    with running(tmp_path / "stack", [artifact], "web", "sweep") as stack:
        path = os.pathsep.join(filter(None, [str(hook), os.environ.get("PYTHONPATH", "")]))
        stack.start("bulk")
        stack.start("interactive", PYTHONPATH=path)
        stack.wait_ready()

        def uploaded(file: Path) -> Any:
            status, _, body = stack.request(
                "POST", "/v1/models", file.read_bytes(), Content_Type="application/octet-stream"
            )
            assert status == 201, body
            identifier = json.loads(body)["id"]

            def ended() -> Any:
                models = stack.get("/v1/models")[1]["data"]
                model = next(model for model in models if model["id"] == identifier)
                return model if model["status"] != "testing" else None

            return until(ended, 60, "the trial ends")

        crashed = uploaded(good)
        assert (crashed["status"], "SIGSEGV" in crashed["reason"]) == ("refused", True)
        assert "cannot be loaded" in uploaded(bad)["reason"]
        ready = uploaded(good)
        assert ready["status"] == "ready"
        assert stack.request("POST", f"/v1/models/{ready['id']}/activate", b"")[0] == 200
        batch = stack.submit(dict(list(images.items())[:3]))
        assert stack.finish(batch["id"])["model"]["id"] == ready["id"]
