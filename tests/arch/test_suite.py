"""The rules of the suite itself, seen in a small suite that uses the same hooks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.processes import ROOT, environment

SMALL = """
import random, socket, warnings
import pytest

tries, races = [], []

@pytest.mark.pace
def test_depends_on_pace():
    tries.append(1)
    assert len(tries) == 2

def test_a_race():
    races.append(1)
    assert len(races) == 2

@pytest.mark.slow
def test_slow():
    pass

def test_warns():
    warnings.warn("this is deprecated", DeprecationWarning)

def test_leaves_a_file_open(tmp_path):
    open(tmp_path / "x", "w")
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The output of pytest for the small suite under this repository's settings."""
    folder: Path = tmp_path_factory.mktemp("suite")
    (folder / "conftest.py").write_text("from tests.harness.suite import *\n")
    (folder / "test_small.py").write_text(SMALL)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder)]
    done = subprocess.run(
        [*command, "-m", "not slow", "-p", "no:cacheprovider", str(folder)],
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.stdout


def test_only_a_test_that_depends_on_pace_runs_again(small: str) -> None:
    assert "1 rerun" in small
    assert "FAILED test_small.py::test_a_race" in small
    assert "FAILED test_small.py::test_depends_on_pace" not in small


def test_a_warning_and_a_file_left_open_are_errors(small: str) -> None:
    assert "DeprecationWarning: this is deprecated" in small
    assert "ResourceWarning" in small


def test_the_end_states_what_was_left_out_and_how_to_run_it(small: str) -> None:
    assert "1 tests marked slow: run them with `make test-slow`" in small


def test_the_order_is_random_and_a_failed_run_prints_its_seed(small: str) -> None:
    (said,) = re.findall(r"Using --randomly-seed=(\d+)", small)
    assert f"to repeat this order: --randomly-seed={said}" in small
