"""The command line as a whole: quick to start, and clear about wrong usage."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shared.cli.main import main, parser

HEAVY = ["torch", "flask", "celery", "sqlalchemy", "redis", "numpy", "PIL", "web", "worker", "training"]


def test_starting_it_imports_nothing_heavy() -> None:
    script = (
        "import sys, json, shared.cli.main as entry; entry.parser(); "
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    words = set(capsys.readouterr().out.split())
    service = "up submit status watch results cancel models workers keys doctor backup demo"
    training = "train evaluate publish render"
    assert {*service.split(), *training.split()} <= words


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["submit"], ["status", "--nonsense"], ["models"]])
def test_wrong_usage_is_status_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert "usage: gonogo" in capsys.readouterr().err


def test_a_key_that_is_nowhere_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GONOGO_API_KEY", raising=False)
    assert main(["status", "--data-dir", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("gonogo: no API key: give --key")
    assert said.count("\n") == 1


def test_an_unknown_setting_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GONOGO_WORKRES", "4")
    assert main(["up"]) == 2
    assert capsys.readouterr().err == "gonogo: unknown setting: GONOGO_WORKRES\n"


def test_every_reading_command_offers_json() -> None:
    reading = [
        ["status"],
        ["watch", "b"],
        ["results", "b"],
        ["models", "list"],
        ["keys", "list"],
        ["workers"],
    ]
    for argv in [*reading, ["doctor"]]:
        assert parser().parse_args([*argv, "--json"]).json is True


def test_the_training_program_gets_its_own_options() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shared.cli.main", "render", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "usage: python -m training render" in done.stdout
