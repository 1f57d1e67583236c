"""Every queue that the service sends to has a consumer."""

import ast
from pathlib import Path

import pytest

from shared.broker import queues
from shared.contract.states import Lane
from shared.errors import SettingsError
from worker.program import ROLES, served

ROOT = Path(__file__).parents[2]
STARTED = ("bulk", "interactive", "webhooks")  # the roles of an embedded stack


def test_every_queue_is_consumed_by_a_role() -> None:
    every = ",".join(queues.LANES)
    assert {queue for role in STARTED for queue in served(role, every)} == set(queues.QUEUES)
    assert {queue for role in ROLES for queue in served(role, every)} == set(queues.QUEUES)


def test_every_lane_is_a_queue_that_a_role_serves() -> None:
    assert set(queues.LANES) == set(Lane) <= set(queues.QUEUES)
    assert {queue for role in STARTED for queue in ROLES[role]} >= set(queues.LANES)


def test_a_role_leaves_the_lanes_that_the_setting_leaves_out() -> None:
    assert served("bulk", "interactive, low") == ["low", queues.DRAWINGS, queues.SHADOWS]
    assert served("all", "normal") == ["normal", queues.UPKEEP, queues.DRAWINGS, queues.SHADOWS]
    assert served("webhooks", "low") == [queues.WEBHOOKS, queues.FETCHES]
    assert served("interactive", "low") == [queues.UPKEEP]


@pytest.mark.parametrize("lanes", ["interactive", "", "normal,lowest"])
def test_a_role_without_a_lane_and_an_unknown_lane_are_refused(lanes: str) -> None:
    with pytest.raises(SettingsError, match="GONOGO_LANES"):
        served("bulk", lanes)


def test_every_task_that_is_named_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GONOGO_INSTALLATION", "test")
    from worker.app import app

    app.loader.import_default_modules()
    named = {queues.INFER, queues.DRAW, queues.DELIVER, queues.FETCH, queues.TRIAL, queues.SHADOW}
    assert named == {name for name in app.tasks if not name.startswith("celery.")}


def test_no_task_is_sent_to_a_queue_by_a_loose_name() -> None:
    for path in [*ROOT.glob("web/**/*.py"), *ROOT.glob("worker/**/*.py"), *ROOT.glob("shared/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "send_task":
                for keyword in node.keywords:
                    assert not (keyword.arg == "queue" and isinstance(keyword.value, ast.Constant)), path
