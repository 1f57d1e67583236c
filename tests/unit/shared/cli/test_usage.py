"""Values that make no sense are usage errors, before any service is asked; a tenant's key goes into the database."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from shared.cli import moments
from shared.cli.main import main
from shared.contract.fields import parse_moment
from shared.contract.options import descriptions

NOWHERE = ["--url", "http://127.0.0.1:1", "--key", "gng_x"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["submit", "x.jpg", "--metadata", "a=1", "--metadata", "a=2"], "'a' twice"),
        (["submit", "x.jpg", "--metadata", "a=1", "--metadata", "a=1"], "'a' twice"),
        (["submit", "x.jpg", "--wait", "--timeout", "-1"], "seconds"),
        (["submit", "x.jpg", "--option", "deadline=soon"], "takes JSON"),
        (["submit", "x.jpg", "--option", "lot=1"], "not 'lot'"),
        (["submit", "x.jpg", "--option", "deadline=1", "--option", "deadline=2"], "once"),
        (["submit", "x.jpg", "https://h.example/a.jpg"], "without files"),
        (["submit", "s3://parts/a.jpg", "--manifest", "m.csv"], "without files"),
        (["submit", "x.jpg", "--wait", "--timeout", "nan"], "seconds"),
        (["submit", "ftp://h.example/a.jpg"], "only http, https and s3 URLs are taken"),
        (["status", ""], "no id"),
        (["parts", ""], "no id"),
        (["webhooks", "deliveries", ""], "no id"),
        (["webhooks", "update", "whe_x", "--enable", "--disable"], "not both"),
        (["watch-folder", "/"], "whole file system"),
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


def test_a_watcher_that_does_not_start_leaves_no_state_in_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch-folder", str(tmp_path), "--url", "nowhere://", "--key", "gng_x"]) == 3
    assert "not the address of a service" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize("webhook", [(), ("--webhook", "https://receiver.example")])
@pytest.mark.parametrize("text", ["whsec_not/long", "", None])
def test_a_webhook_secret_that_cannot_be_used_is_a_usage_error_and_is_not_printed(
    webhook: tuple[str, ...], text: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "secret").write_text(text)
    argv = ["submit", "x.jpg", *webhook, "--webhook-secret-file", str(tmp_path / "secret"), "--key", "gng_x"]
    assert main(argv) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "--webhook-secret-file" in err
    assert "not/long" not in err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90d", 7_776_000), ("2h", 7200), ("30m", 1800), ("45s", 45), ("45", 45), ("1w", 604_800)],
)
def test_an_expiry_may_be_a_duration(text: str, seconds: int) -> None:
    assert moments.duration(text) == seconds
    assert abs(parse_moment(moments.expiry(text)) - time.time() - seconds) < 5


def test_an_expiry_may_be_a_day_or_a_time() -> None:
    assert moments.expiry("2127-01-31") == "2127-01-31T00:00:00.000Z"
    assert moments.expiry("2127-01-31T12:00:00+01:00") == "2127-01-31T11:00:00.000Z"


@pytest.mark.parametrize("text", ["", "soon", "-1d", "1.5h", "d", "2127-13-01", "2127-01-31T12:00:00"])
def test_a_text_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        moments.expiry(text)


def test_the_help_of_submit_names_every_option_of_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "--help"]) == 0
    said = re.findall(r"[a-z_-]+", capsys.readouterr().out)
    missing = {name for name in descriptions() if not {f"--{name.replace('_', '-')}", name} & {*said}}
    assert missing == set()
