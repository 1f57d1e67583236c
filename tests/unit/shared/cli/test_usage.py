"""Values that make no sense are usage errors, before any service is asked; a tenant's key goes into the database."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shared.cli.main import main

NOWHERE = ["--url", "http://127.0.0.1:1", "--key", "gng_x"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["submit", "x.jpg", "--metadata", "a=1", "--metadata", "a=2"], "'a' twice"),
        (["submit", "x.jpg", "--metadata", "a=1", "--metadata", "a=1"], "'a' twice"),
        (["submit", "x.jpg", "--wait", "--timeout", "-1"], "seconds"),
        (["submit", "x.jpg", "--wait", "--timeout", "nan"], "seconds"),
        (["watch", "bat_x", "--timeout", "nan"], "seconds"),
        (["watch", "bat_x", "--timeout", "inf"], "seconds"),
        (["watch", "bat_x", "--timeout", "soon"], "seconds"),
        (["watch", "bat_x", "--timeout", "-0.5"], "seconds"),
        (["status", "--limit", "0"], "limit"),
        (["parts", "bat_x", "--lot", "1"], "a batch has one lot"),
        (["status", "--limit", "-3"], "limit"),
        (["keys", "create", "--name", "x", "--scopes", ","], "scope"),
    ],
)
def test_a_value_that_makes_no_sense_is_a_usage_error(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*argv, *NOWHERE]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("tenant", ["", "*", "x" * 65, "two\nlines"])
def test_a_tenant_that_can_have_no_key_is_a_usage_error(
    tenant: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    argv = ["keys", "create", "--name", "first", "--tenant", tenant, "--data-dir", str(tmp_path / "data")]
    assert main(argv) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "1 to 64 printable characters" in err
    assert not (tmp_path / "data").exists()


def test_a_key_of_a_tenant_is_printed_as_the_api_answers_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    argv = ["keys", "create", "--name", "-first", "--tenant", "-plant", "--data-dir", str(tmp_path / "data")]
    assert main([*argv, "--json"]) == 0
    key = json.loads(capfd.readouterr().out)
    assert (key["object"], key["tenant"], key["name"], key["scopes"]) == (
        "api_key",
        "-plant",
        "-first",
        ["read", "submit"],
    )
    assert key["secret"].startswith(f"gng_{key['prefix']}_")


@pytest.mark.parametrize("wrong", [["--tenant", "*"], ["--tenant", ""], ["--tenant", "t", "--scopes", "all"]])
def test_the_program_that_makes_keys_refuses_one_in_one_line(
    wrong: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GONOGO_DATABASE_URL", f"sqlite:///{tmp_path}/keys.db")
    argv = [sys.executable, "-m", "shared.access", "--name", "first", *wrong]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
