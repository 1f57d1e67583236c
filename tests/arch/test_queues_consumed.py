"""Nothing is sent where nobody listens."""

import ast
from pathlib import Path

from shared.broker import queues
from shared.contract.states import Lane
from worker.__main__ import _ROLES
from worker.app import app

ROOT = Path(__file__).parents[2]
STARTED = ("bulk", "interactive", "webhooks")  # the roles of an embedded stack


def test_every_queue_is_consumed_by_a_role() -> None:
    served = {queue for role in STARTED for queue in _ROLES[role][0]}
    assert served == set(queues.QUEUES)
    assert {queue for role in _ROLES for queue in _ROLES[role][0]} == set(queues.QUEUES)


def test_every_lane_is_a_queue_that_its_own_role_serves() -> None:
    assert set(queues.LANES) == set(Lane) <= set(queues.QUEUES)
    for served, lanes in _ROLES.values():
        assert set(filter(None, lanes.split(","))) == set(served) & set(queues.LANES)


def test_every_task_that_is_named_is_registered() -> None:
    app.loader.import_default_modules()
    named = {queues.INFER, queues.THUMBNAIL, queues.DELIVER}
    assert named == {name for name in app.tasks if not name.startswith("celery.")}


def test_no_task_is_sent_to_a_queue_by_a_loose_name() -> None:
    for path in [*ROOT.glob("web/**/*.py"), *ROOT.glob("worker/**/*.py"), *ROOT.glob("shared/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "send_task":
                for keyword in node.keywords:
                    assert not (keyword.arg == "queue" and isinstance(keyword.value, ast.Constant)), path
