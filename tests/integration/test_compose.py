"""The compose file: valid by its schema, and each command really runs, as a plain process."""

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.settings import Settings
from tests.harness.databases import empty_database_url
from tests.harness.processes import ROOT, free_port
from tests.harness.stack import FAST, Stack

COMPOSE = ROOT / "docker-compose.yml"
OURS = ("migrate", "web", "worker-cpu", "worker-interactive", "worker-webhooks", "sweeper")


def services() -> dict[str, Any]:
    return dict(yaml.safe_load(COMPOSE.read_text())["services"])


def command_of(name: str) -> list[str]:
    """A service's command with this environment's interpreter for `python`."""
    command = services()[name]["command"]
    words = shlex.split(command) if isinstance(command, str) else list(command)
    assert words[0] == "python"
    return [sys.executable, *words[1:]]


def test_the_compose_file_follows_the_compose_schema() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_compose_file_has_every_process_of_the_service() -> None:
    assert set(services()) == {*OURS, "worker-gpu", "valkey", "postgres"}
    assert services()["worker-gpu"]["profiles"] == ["gpu"]
    assert services()["worker-gpu"]["environment"]["GONOGO_DEVICE"] == "cuda"
    assert "noeviction" in services()["valkey"]["command"]


def test_every_setting_in_the_compose_file_is_known() -> None:
    for name in (*OURS, "worker-gpu"):
        Settings.from_env({key: str(value) for key, value in services()[name]["environment"].items()})


@pytest.mark.timeout(150)
def test_the_commands_of_the_compose_file_serve_a_batch(tmp_path: Path, images: dict[str, bytes]) -> None:
    with empty_database_url("postgresql", tmp_path) as url:
        settings = replace(
            Settings(),
            data_dir=tmp_path,
            database_url=url,
            broker_url=f"unix://{tmp_path}/valkey.sock",
            port=free_port(),
            min_free_bytes=0,
            workers=1,
            **FAST,
        )
        stack = Stack(tmp_path, settings)
        try:
            stack.start_valkey()
            stack.spawn("migrate", command_of("migrate"))
            assert stack.processes.pop("migrate").wait(60) == 0
            stack.prepare([])
            for name in OURS[1:]:
                stack.spawn(name, command_of(name))
            stack.wait_ready()
            batch = stack.finish(stack.submit(images)["id"])
        finally:
            stack.stop()
    assert batch["counts"]["succeeded"] == len(images)
    assert batch["model"]["name"] == "rendered-parts"
