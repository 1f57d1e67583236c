"""Few places of the web process wait for the broker, and no message carries data."""

import ast
from pathlib import Path

from shared.broker.tasks import celery_settings
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
# Each with what it does there. The first two have threads of their own.
ASKS = {
    "web/live/announcer.py": "sends messages",
    "web/live/waiting.py": "listens to wake-up calls",
    "web/http/rate_limits.py": "counts requests by blocks",
    "web/api/health.py": "/readyz",
    "web/app.py": "checks the policy at the start",
}
MODULES = {f"shared.broker.{name}" for name in ("connection", "messages", "wake", "checks")}


def asks(tree: ast.AST) -> bool:
    return any(
        (node.module in MODULES or {f"{node.module}.{alias.name}" for alias in node.names} & MODULES)
        if isinstance(node, ast.ImportFrom)
        else isinstance(node, ast.Import) and bool({alias.name for alias in node.names} & MODULES)
        for node in ast.walk(tree)
    )


def test_the_web_process_asks_the_broker_where_the_architecture_says_so_and_nowhere_else() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "web").rglob("*.py")
        if asks(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == ASKS.keys()


def test_the_arguments_of_tasks_are_ids_and_names() -> None:
    tree = ast.parse((ROOT / "worker/tasks.py").read_text(encoding="utf-8"))
    bodies = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    taken = {f"{one.arg}: {ast.unparse(one.annotation or one)}" for body in bodies for one in body.args.args}
    assert len(bodies) == 6
    assert taken == {
        "lane: str", "kind: Drawing", "batch_id: str", "seq: int", "delivery_id: str", "model_id: str"
    }  # fmt: skip


def test_messages_are_json_and_every_socket_to_the_broker_has_a_timeout(tmp_path: Path) -> None:
    for broker in ("redis://localhost/0", "unix:///tmp/broker.sock", "sentinel://localhost:26379/0"):
        made = celery_settings(Settings(data_dir=tmp_path, broker_url=broker, installation="test"))
        assert (made["accept_content"], made["task_serializer"]) == (["json"], "json")
        transport = made["broker_transport_options"]
        assert transport["socket_timeout"] > transport["health_check_interval"] > 0
        assert transport["socket_connect_timeout"] > 0
