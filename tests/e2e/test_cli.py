"""The commands against a running stack, as processes: what they print, and their exit status."""

import csv
import io
import json
import sqlite3
import subprocess
import tarfile
import time
import zipfile
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.harness.image_server import ImageServer
from tests.harness.images import jpegs
from tests.harness.processes import ROOT, environment
from tests.harness.service import GONOGO, Run, Up, gonogo


def one_line(finished: CompletedProcess[str]) -> str:
    """The message of a failed command: one line, never a traceback."""
    assert finished.stdout == ""
    assert finished.stderr.count("\n") == 1, finished.stderr
    return finished.stderr


def test_a_folder_becomes_verdicts_in_a_file(run: Run, folder: Path, tmp_path: Path) -> None:
    done = run(
        "submit", str(folder), "--output", str(tmp_path / "out.csv"), "--name", "x", "--metadata", "line=A3"
    )
    assert done.returncode == 0, done.stderr
    assert "6 items" in done.stderr
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["filename"] for row in rows) == [f"deeper/part-{place:05d}.jpg" for place in range(6)]
    assert {row["status"] for row in rows} == {"succeeded"}


def test_skipped_files_are_counted_and_equal_names_stay_apart(run: Run, tmp_path: Path) -> None:
    for folder, (_, data) in zip(("cam1", "cam2"), jpegs(2, seed=12), strict=True):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0001.jpg").write_bytes(data)
        (tmp_path / folder / "0002.jfif").write_bytes(data)
        (tmp_path / folder / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "cam1" / "photo.HEIC").write_bytes(b"x\n")
    both = [str(tmp_path / "cam1"), str(tmp_path / "cam2")]
    done = run("submit", *both, "--output", str(tmp_path / "out.csv"), "--json")
    assert done.returncode == 0, done.stderr
    assert "skipped 3 files:" in done.stderr
    assert "2 a file of the operating system: cam1/Thumbs.db, cam2/Thumbs.db" in done.stderr
    assert "cam1/photo.HEIC" in done.stderr
    assert json.loads(done.stdout)["counts"]["succeeded"] == 4
    with (tmp_path / "out.csv").open() as file:
        names = {row["filename"] for row in csv.DictReader(file)}
    assert names == {f"{cam}/{name}" for cam in ("cam1", "cam2") for name in ("0001.jpg", "0002.jfif")}


def test_names_come_back_as_they_were_sent_where_no_spreadsheet_reads_them(
    run: Run, up: Up, tmp_path: Path
) -> None:
    with up.client() as client:
        batch_id = client.wait(client.submit([("=1+1.jpg", jpegs(1)[0][1])])["id"], timeout_s=60)["id"]
    assert ",'=1+1.jpg," in run("results", batch_id).stdout
    assert ",=1+1.jpg," in run("results", batch_id, "--no-spreadsheet").stdout


def test_archives_are_taken_and_json_is_one_document(run: Run, tmp_path: Path) -> None:
    parts = jpegs(4, seed=8)
    with zipfile.ZipFile(tmp_path / "parts.zip", "w") as archive:
        for name, data in parts:
            archive.writestr(name, data)
    with tarfile.open(tmp_path / "parts.tar.gz", "w:gz") as tar:
        for name, data in parts:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    for archive_name in ("parts.zip", "parts.tar.gz"):
        done = run("submit", str(tmp_path / archive_name), "--wait", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["counts"]["succeeded"] == 4


def test_images_named_by_url_are_fetched_by_the_service(run: Run) -> None:
    server = ImageServer()
    try:
        urls = [server.image(f"/{name}", data) for name, data in jpegs(5, seed=23)]
        done = run("submit", *urls, "--wait", "--json")
    finally:
        server.close()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["succeeded"] == 5
    assert set(server.asked.values()) == {1}
    refused = run("submit", "http://169.254.169.254/latest/meta-data")
    assert (refused.returncode, "neither public nor allowed" in refused.stderr) == (1, True)
    assert run("submit", "s3://parts/a.jpg").returncode == 1


def test_files_of_an_archive_that_are_no_images_are_a_notice(run: Run, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "parts.zip", "w") as archive:
        archive.writestr("a.jpg", jpegs(1, seed=17)[0][1])
        archive.writestr("readme.txt", "text")
    done = run("submit", str(tmp_path / "parts.zip"), "--wait")
    assert done.returncode == 0, done.stderr
    (notice,) = [line for line in done.stdout.splitlines() if line.startswith("notice ")]
    assert "1 file was skipped: readme.txt (" in notice


def test_a_broken_image_makes_the_exit_status_4_and_fails_alone(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 no image")
    done = run("submit", str(folder), "--wait", "--output", str(tmp_path / "out.ndjson"))
    assert done.returncode == 4
    items = [json.loads(line) for line in (tmp_path / "out.ndjson").read_text().splitlines()]
    failed = [item for item in items if item["status"] == "failed"]
    assert [item["filename"] for item in failed] == ["broken.jpg"]
    assert len(items) == 7


def test_one_image_gets_its_verdict_at_once(run: Run, folder: Path) -> None:
    image = str(folder / "deeper/part-00000.jpg")
    answer = json.loads(run("predict", image, "--json").stdout)
    assert answer["filename"] == "part-00000.jpg"
    assert run("predict", image).stdout.split()[:2] == ["part-00000.jpg", answer["prediction"]]
    assert "unknown_model" in run("predict", image, "--model", "no such model").stderr


def test_a_batch_can_be_read_in_every_way(run: Run, up: Up) -> None:
    with up.client() as client:
        batch_id = client.wait(client.submit(jpegs(3, seed=9), {"metadata": {"a": 1}})["id"])["id"]
    assert batch_id in run("status").stdout
    assert batch_id in {batch["id"] for batch in json.loads(run("status", "--json").stdout)}
    assert json.loads(run("status", batch_id, "--json").stdout)["metadata"] == {"a": 1}
    watched = run("watch", batch_id, "--json").stdout.splitlines()
    assert json.loads(watched[-1])["status"] == "completed"
    assert len(run("results", batch_id, "--json").stdout.splitlines()) == 3
    assert len(run("results", batch_id).stdout.splitlines()) == 4
    assert "(409 wrong_state)" in one_line(run("cancel", batch_id))


def test_a_waiting_batch_can_be_cancelled(run: Run, up: Up) -> None:
    with up.client() as client:
        batch_id = client.submit(jpegs(1500, seed=10), {"priority": "low"})["id"]
        assert run("cancel", batch_id).returncode == 0
        assert client.wait(batch_id, timeout_s=60)["status"] == "cancelled"
    assert run("watch", batch_id).returncode == 4


@pytest.mark.pace
def test_results_of_a_running_batch_are_announced_as_partial(run: Run, up: Up, tmp_path: Path) -> None:
    target = tmp_path / "out.ndjson"
    with up.client() as client:
        batch_id = client.submit(jpegs(1500, seed=13), {"priority": "low"})["id"]
        partial = run("results", batch_id, "--output", str(target))
        assert client.batch(batch_id)["finished_at"] is None  # or this test has shown nothing
        client.wait(batch_id, timeout_s=90)
    assert partial.returncode == 4
    assert "these results are not final" in partial.stderr
    assert len(target.read_text().splitlines()) == 1500
    whole = run("results", batch_id, "--output", str(target))
    assert (whole.returncode, whole.stderr) == (0, "")


def test_results_of_a_batch_that_is_deleted_meanwhile_break_off(run: Run, up: Up, tmp_path: Path) -> None:
    with up.client() as client:
        batch_id = client.wait(client.submit(jpegs(1, seed=15))["id"], timeout_s=60)["id"]
        with closing(sqlite3.connect(up.data_dir / "gonogo.db", timeout=30)) as database, database:
            _multiply(database, batch_id, 60_000)
        argv = [*GONOGO, "results", batch_id, "--data-dir", str(up.data_dir)]
        with subprocess.Popen(
            argv, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
        ) as process:
            assert process.stdout is not None
            process.stdout.read(1)  # the stream has begun, and waits for its reader
            client.delete(batch_id)
            rest, said = process.communicate(timeout=60)
    assert rest.count(b"\r\n") < 60_001  # or this test has shown nothing
    assert b"the results broke off after" in said
    assert process.returncode == 4


def test_a_stream_that_breaks_off_leaves_no_file(up: Up, tmp_path: Path) -> None:
    with up.client() as client:
        batch_id = client.wait(client.submit(jpegs(1, seed=16))["id"], timeout_s=60)["id"]
        with closing(sqlite3.connect(up.data_dir / "gonogo.db", timeout=30)) as database, database:
            database.execute(
                "UPDATE batches SET total = 2, succeeded = 2, no_defect = 2 WHERE id = ?", (batch_id,)
            )
        command = gonogo(
            "results", batch_id, "--output", str(tmp_path / "x.csv"), "--data-dir", str(up.data_dir)
        )
        client.delete(batch_id)
    assert command.returncode == 4
    assert list(tmp_path.iterdir()) == []


def _multiply(database: sqlite3.Connection, batch_id: str, count: int) -> None:
    """Make a batch of one item a batch of many, so that no buffer holds its results."""
    names = [row[1] for row in database.execute("PRAGMA table_info(items)")]
    copied = ", ".join("number.n" if name == "seq" else f"items.{name}" for name in names)
    database.execute(
        f"WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?)"
        f" INSERT INTO items ({', '.join(names)}) SELECT {copied} FROM items, number WHERE items.batch_id = ?",
        (count - 1, batch_id),
    )
    counted = ("total", "succeeded", "defect", "no_defect", "review")
    database.execute(
        f"UPDATE batches SET {', '.join(f'{name} = {name} * ?' for name in counted)} WHERE id = ?",
        (*[count] * len(counted), batch_id),
    )


@pytest.mark.parametrize(
    "argv",
    [
        ("--output", "x.xlsx"),
        ("--output", "x.parquet", "--format", "csv"),
        ("--output", "x.csv", "--json"),
        ("--output", "x"),
    ],
)
def test_a_file_does_not_hold_another_format_than_its_name_says(
    run: Run, tmp_path: Path, argv: tuple[str, ...]
) -> None:
    argv = tuple(str(tmp_path / word) if word.startswith("x") else word for word in argv)
    assert "--output" in one_line(refused := run("results", "bat_1", *argv))
    assert refused.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_data_dir_names_its_service_and_wins_over_the_environment(up: Up) -> None:
    elsewhere = {"GONOGO_URL": "http://127.0.0.1:1", "GONOGO_API_KEY": "gng_of_another_service"}
    here = {"GONOGO_DATA_DIR": str(up.data_dir)}
    assert gonogo("workers", "--data-dir", str(up.data_dir), env=elsewhere).returncode == 0
    assert gonogo("workers", env=here).returncode == 0
    assert gonogo("workers", env={**here, **elsewhere}).returncode == 3


def test_model_versions_and_workers_are_listed_and_switched(run: Run, up: Up, tmp_path: Path) -> None:
    versions = json.loads(run("models", "list", "--json").stdout)
    active = next(version for version in versions if version["active"])
    assert json.loads(run("models", "activate", active["id"], "--json").stdout)["active"] is True
    assert json.loads(run("workers", "--json").stdout)
    artifact = next((up.data_dir / "blobs").rglob(f"*{active['sha256']}*"))
    assert (
        json.loads(run("models", "upload", str(artifact), "--tenant", "*", "--json").stdout)["id"]
        == active["id"]
    )
    (tmp_path / "no.gonogo").write_bytes(b"no artifact")
    assert "invalid_artifact" in one_line(run("models", "upload", str(tmp_path / "no.gonogo")))


def test_keys_are_made_shown_once_and_revoked(run: Run) -> None:
    secret = run("keys", "create", "--name", "line 3", "--scopes", "read").stdout.strip()
    assert run("status", "--key", secret).returncode == 0
    assert "403" in one_line(run("keys", "list", "--key", secret))
    listed = json.loads(run("keys", "list", "--json").stdout)
    assert secret not in json.dumps(listed)
    made = next(key for key in listed if key["name"] == "line 3")
    assert run("keys", "delete", made["id"]).returncode == 0
    assert "401" in one_line(run("status", "--key", secret))


def test_an_operator_makes_the_first_key_of_another_tenant(run: Run, up: Up) -> None:
    with up.client() as client:
        batch_id = client.submit(jpegs(1, seed=11))["id"]
    secret = run("keys", "create", "--tenant", "plant-b", "--name", "first").stdout.strip()
    assert json.loads(run("status", "--json", "--key", secret).stdout) == []
    assert "404" in one_line(run("status", batch_id, "--key", secret))


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (("status", "bat_00000000000000000000000000"), 1, "404 not_found"),
        (("status", "--key", "gng_wrong"), 1, "401 unauthorized"),
        (("status", "--url", "http://127.0.0.1:1"), 3, "connection refused"),
        (("status", "--url", "ftp://x"), 3, "not the address of a service"),
        (("submit", "no/such/file.jpg"), 2, "No such file"),
        (("submit", "README.md", "--output", "x.txt"), 2, "must end in .csv, .ndjson or .parquet"),
        (("submit", "README.md", "--output", "no/such/x.csv"), 2, "there is no folder no/such"),
        (("results", "bat_0", "--output", "no/such/x.csv"), 2, "there is no folder no/such"),
        (("results", "bat_0", "--format", "csv", "--output", "docs"), 2, "docs is a folder"),
        (("submit", "a.zip", "--part-mb", "1"), 2, "No such file"),
        (("submit", "README.md", "--metadata", "x"), 2, "KEY=VALUE"),
        (("keys", "create", "--name", "x", "--scopes", "all"), 2, "no such scope: all"),
    ],
)
def test_bad_usage_is_one_clear_line(run: Run, argv: tuple[str, ...], status: int, said: str) -> None:
    began = time.monotonic()
    finished = run(*argv)
    assert finished.returncode == status
    assert said in one_line(finished)
    assert time.monotonic() - began < 25


def test_the_doctor_finds_a_running_stack_well_and_a_wrong_key_not(run: Run, up: Up) -> None:
    found = {finding["name"]: finding["state"] for finding in json.loads(run("doctor", "--json").stdout)}
    for name in (
        "settings",
        "data dir",
        "socket",
        "disk",
        "database",
        "broker",
        "model",
        "service",
        "workers",
        "ready",
    ):
        assert found[name] == "ok", (name, found)
    wrong = run("doctor", "--key", "gng_wrong")
    assert wrong.returncode == 1
    assert any(line.startswith("problem  service") for line in wrong.stdout.splitlines())
