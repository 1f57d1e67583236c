"""The shell completes commands, flags and their values, by the line that docs/cli.md names."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[4] / "docs" / "cli.md").read_text(encoding="utf-8")


def gonogo(**variables: str) -> str:
    """The answer to a shell that asks with these variables."""
    asked = {**os.environ, **variables}
    program = "import sys, shared.cli.main as entry; sys.exit(entry.main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", program], env=asked, capture_output=True, text=True, check=True, timeout=60
    ).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_the_script_that_the_docs_name(shell: str) -> None:
    assert re.search(rf"_GONOGO_COMPLETE={shell}_source gonogo", PAGE)
    assert "_GONOGO_COMPLETE" in gonogo(_GONOGO_COMPLETE=f"{shell}_source")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("gonogo su", {"submit"}),
        ("gonogo webhooks re", {"redeliver", "replay"}),
        ("gonogo submit --mani", {"--manifest"}),
        ("gonogo results --verdict ", {"defect", "no_defect", "review"}),
    ],
)
def test_the_shell_completes(words: str, offered: set[str]) -> None:
    place = str(len(words.split(" ")) - 1)
    found = gonogo(_GONOGO_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=place)
    assert {line.partition(",")[2] for line in found.splitlines()} == offered
