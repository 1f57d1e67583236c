"""The command line as a whole: quick to start, and clear about wrong usage."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import click
import pytest

from shared.cli.program import gonogo, main

HEAVY = ["torch", "flask", "celery", "sqlalchemy", "redis", "numpy", "PIL", "web", "worker", "training"]


def test_starting_it_imports_nothing_heavy() -> None:
    script = (
        "import sys, json, io, contextlib, shared.cli.main as entry\n"
        "with contextlib.redirect_stdout(io.StringIO()): entry.main(['--help'])\n"
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    words = set(capsys.readouterr().out.split())
    service = "up submit status watch results cancel models workers keys doctor backup demo migrate"
    training = "train evaluate publish render"
    assert {*service.split(), *training.split()} <= words


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["submit"], ["status", "--nonsense"], ["models"]])
def test_wrong_usage_is_status_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert "Usage: gonogo" in capsys.readouterr().err


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


def commands(group: click.Group, *before: str) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that name it."""
    found: list[tuple[tuple[str, ...], click.Command]] = []
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            words = (*before, name)
            found += commands(command, *words) if isinstance(command, click.Group) else [(words, command)]
    return found


def test_every_command_that_asks_the_service_offers_json() -> None:
    asking = {
        words: {option for parameter in command.params for option in parameter.opts}
        for words, command in commands(gonogo)
        if any("--url" in parameter.opts for parameter in command.params)
    }
    assert {("status",), ("keys", "list"), ("models", "list"), ("doctor",), ("results",)} <= set(asking)
    assert [words for words, options in asking.items() if "--json" not in options] == []


def test_every_command_says_what_it_does_in_help() -> None:
    for words, command in commands(gonogo):
        assert command.get_short_help_str(), words


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gonogo, version {metadata.version('gonogo')}\n"


def test_a_shell_completes_commands_and_options() -> None:
    def completed(words: str) -> str:
        asked = {
            "_GONOGO_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        done = subprocess.run(
            [sys.executable, "-m", "shared.cli.main"],
            env={**os.environ, **asked},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    assert "plain,status" in completed("gonogo st")
    assert "plain,--output" in completed("gonogo submit --ou")
    assert "plain,rollback" in completed("gonogo models ro")


def test_the_training_program_gets_its_own_options() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shared.cli.main", "render", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "usage: python -m training render" in done.stdout
