"""Row 41: models whose trial fails, in a running service."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.registry import activations
from tests.faults.rig import CHUNK_ITEMS, Rig, rig
from tests.harness.forged import forge, rubbish_network, with_self_test
from tests.harness.hooks import child_environment
from tests.harness.processes import until

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(170)
TRIAL_S = (
    15.0  # a busy machine takes seconds to load a model, and the others must be refused for their own reasons
)
# In the process of a trial, the network loads, and its first call does what the file `next` says.
_HOOK = """
import os, pathlib, sys, time
told = pathlib.Path({told!r})
def install():
    if "shared.registry.trial" not in sys.orig_argv or not told.exists():
        return
    import onnxruntime
    what = told.read_text()
    told.rename(told.with_name(what))
    def run(*args, **kwargs):
        if what == "crash":
            os.kill(os.getpid(), 11)
        time.sleep(600)
    onnxruntime.InferenceSession.run = run
"""


@pytest.mark.row(41)
def test_a_model_that_fails_its_trial_says_why_is_never_active_and_blocks_no_batch(
    artifact: Path, many: Many, tmp_path: Path, report_rig: Callable[[Rig], Rig]
) -> None:
    hook = tmp_path / "hook"
    hook.mkdir()
    told = hook / "next"
    (hook / "trial_hook.py").write_text(_HOOK.format(told=str(told)))
    files = {
        "rubbish": forge(artifact, tmp_path / "rubbish", rubbish_network),
        "other logits": forge(artifact, tmp_path / "logits", with_self_test(lambda true: true + 1.0)),
        "crash": forge(artifact, tmp_path / "crash", with_self_test(seed=4)),
        "hang": forge(artifact, tmp_path / "hang", with_self_test(seed=5)),
    }
    (tmp_path / "stack").mkdir()
    with rig(tmp_path / "stack", [artifact], trial_s=TRIAL_S) as ill:
        report_rig(ill)
        hooks = child_environment("trial_hook:install")
        hooks["PYTHONPATH"] = f"{hook}{os.pathsep}{hooks['PYTHONPATH']}"
        ill.restart("interactive", env=hooks)
        with ill.database.read() as connection:
            active = activations.active_id(connection)
        reasons, longest = {}, 0.0
        for name, file in files.items():
            if name in ("crash", "hang"):
                told.write_text(name)
            model = upload(ill, file)
            began = time.monotonic()
            batch_id = ill.submit(many(2 * CHUNK_ITEMS))
            assert ill.finish(batch_id, 30).succeeded == 2 * CHUNK_ITEMS
            longest = max(longest, time.monotonic() - began)
            reasons[name] = ended(ill, model)["reason"]
            status, answer = act(ill, model, "activate")
            assert (status, answer["code"]) == (409, "model_not_ready"), name
            status, _, body = ill.stack.post_batch(many(1), {"model": model})
            assert (status, json.loads(body)["code"]) == (409, "model_not_ready"), name
            with ill.database.read() as connection:
                assert activations.active_id(connection) == active
        assert {name for name in ("crash", "hang") if (hook / name).exists()} == {"crash", "hang"}
        expected = {
            "rubbish": "cannot be loaded",
            "other logits": "off by",
            "crash": "SIGSEGV",
            "hang": f"{TRIAL_S:g} s",
        }
        for name, words in expected.items():
            assert words in reasons[name], f"{name}: {reasons[name]}"
        good = upload(ill, forge(artifact, tmp_path / "good", with_self_test(seed=6)))
        assert ended(ill, good)["status"] == "ready"
        ill.proof(
            f"{len(files)} models refused: "
            + "; ".join(f"{name} ({reason[:60]})" for name, reason in reasons.items())
            + f"; a batch beside each trial took {longest:.1f} s at most"
        )
        ill.check(most_extra=0)


def upload(ill: Rig, file: Path) -> str:
    status, _, body = ill.stack.request(
        "POST", "/v1/models", file.read_bytes(), Content_Type="application/octet-stream"
    )
    assert status == 201, body
    return str(json.loads(body)["id"])


def act(ill: Rig, model_id: str, action: str) -> tuple[int, Any]:
    status, _, body = ill.stack.request("POST", f"/v1/models/{model_id}/{action}", b"")
    return status, json.loads(body)


def ended(ill: Rig, model_id: str) -> Any:
    """The model, once its trial has come to an end."""

    def look() -> Any:
        models = ill.stack.get("/v1/models")[1]["data"]
        model = next(model for model in models if model["id"] == model_id)
        return model if model["status"] != "testing" else None

    return until(look, 60, "the trial ends")
