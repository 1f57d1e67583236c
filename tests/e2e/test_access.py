"""Keys, sessions and the audit trail of an installation as a person uses them: before its first start, and running."""

import json
import re
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.harness.images import jpegs
from tests.harness.service import Up, gonogo

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def start(data_dir: Path) -> Iterator[Callable[[], Up]]:
    started: list[Up] = []

    def begin() -> Up:
        started.append(Up(data_dir, GONOGO_ACCESS_LOG=str(data_dir / "access.log")))
        return started[-1]

    yield begin
    for one in started:
        one.end()


def test_the_first_key_is_made_before_the_start_and_the_trail_tells_all_that_was_done(
    data_dir: Path, start: Callable[[], Up]
) -> None:
    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return gonogo(*argv, "--data-dir", str(data_dir))

    first = run("keys", "create", "--json")
    assert first.returncode == 0, first.stderr
    key = json.loads(first.stdout)
    assert (key["name"], key["tenant"]) == ("admin", "default")
    assert "operator" in key["scopes"]
    kept = data_dir / "admin-key"
    assert kept.read_text().strip() == key["secret"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    second = run("keys", "create")
    assert (second.returncode, second.stdout) == (2, "")
    assert "--name" in second.stderr

    data_dir.chmod(0o755)
    running = start().wait_ready()
    assert any("others could read" in line for line in running.lines)
    assert not any("admin key (shown once" in line for line in running.lines)
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    open_files = [path for path in data_dir.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    assert open_files == []

    brief = json.loads(run("keys", "create", "--name", "brief", "--expires", "2h", "--json").stdout)
    assert brief["expires_at"] is not None
    rotated = run("keys", "rotate", key["id"], "--at-once")
    assert rotated.returncode == 0, rotated.stderr
    assert kept.read_text().strip() == rotated.stdout.strip() != key["secret"]
    assert "401" in gonogo("status", "--url", running.url, "--key", key["secret"]).stderr
    assert run("keys", "delete", brief["id"]).returncode == 0

    entries = json.loads(run("audit", "list", "--json").stdout)
    assert [entry["action"] for entry in entries] == [
        "key.revoke", "session.refuse", "key.rotate", "key.create", "key.create"
    ]  # fmt: skip
    assert (entries[-1]["address"], entries[-1]["key_id"]) == ("local", None)
    assert [entry["key_id"] for entry in entries] == [rotated_id(data_dir), None, key["id"], key["id"], None]
    table = run("audit", "list", "--action", "key.revoke", "--object", brief["id"])
    assert len(table.stdout.splitlines()) == 2
    lines = [json.loads(line) for line in (data_dir / "access.log").read_text().splitlines()]
    ids = {line["request_id"] for line in lines}
    assert {entry["request_id"] for entry in entries[:-1]} <= ids
    assert all(line["tenant"] == "default" for line in lines if line["route"] == "/v1/api-keys")

    check_webhook_secrets(run, data_dir)
    sound = run("doctor")
    assert "ok       audit" in sound.stdout
    with closing(sqlite3.connect(data_dir / "gonogo.db", timeout=30)) as database, database:
        database.execute("UPDATE audit_entries SET key_id = 'key_x' WHERE id = ?", (entries[2]["id"],))
        database.execute("DELETE FROM audit_entries WHERE id = ?", (entries[3]["id"],))
    broken = run("doctor")
    assert broken.returncode == 1
    problems = [line for line in broken.stdout.splitlines() if line.startswith("problem  audit")]
    assert [f"number {entries[3]['number']}) is missing" in problems[0], entries[2]["id"] in problems[1]] == [
        True
    ] * 2


def check_webhook_secrets(run: Callable[..., subprocess.CompletedProcess[str]], data_dir: Path) -> None:
    """The secret of a webhook is printed once, also after waiting; or it comes from a file and is not printed."""
    image = data_dir.parent / "a.jpg"
    image.write_bytes(jpegs(1)[0][1])
    asked = ("submit", str(image), "--webhook", "https://receiver.example/gonogo")
    made = run(*asked)
    assert made.returncode == 0, made.stderr
    assert re.search(r"^webhook secret \(shown once\): whsec_\S{44}$", made.stderr, re.MULTILINE)
    waited = json.loads(run(*asked, "--wait", "--json").stdout)
    assert (waited["status"], waited["webhook_secret"][:6]) == ("completed", "whsec_")
    secret, file = "whsec_" + "k" * 32, data_dir.parent / "secret"
    file.write_text(f"{secret}\n")
    own = run(*asked, "--webhook-secret-file", str(file), "--json")
    assert own.returncode == 0, own.stderr
    assert "whsec_" not in own.stdout + own.stderr
    with closing(sqlite3.connect(data_dir / "gonogo.db", timeout=30)) as database:
        of_batch = (json.loads(own.stdout)["id"],)
        kept = database.execute("SELECT webhook FROM batches WHERE id = ?", of_batch).fetchone()[0]
    assert json.loads(kept)["secret"] == secret


def rotated_id(data_dir: Path) -> str:
    """The id of the key that the data dir keeps."""
    prefix = (data_dir / "admin-key").read_text().split("_")[1]
    with closing(sqlite3.connect(data_dir / "gonogo.db", timeout=30)) as database:
        return str(database.execute("SELECT id FROM api_keys WHERE prefix = ?", (prefix,)).fetchone()[0])
