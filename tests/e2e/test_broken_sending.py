"""Commands that are interrupted, and links that break: they go on, and say how far they were."""

import csv
import json
import os
import re
import signal
import subprocess
from pathlib import Path

from tests.harness.cutting import CuttingProxy
from tests.harness.processes import ROOT, environment
from tests.harness.service import GONOGO, Run, Up


def interrupted(up: Up, *argv: str, after: str) -> tuple[str, list[str]]:
    """Press Ctrl-C when the command has said `after`; its last words, and the words of that line."""
    command = [*GONOGO, *argv, "--data-dir", str(up.data_dir)]
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stderr is not None
    line = next(line for line in process.stderr if after in line)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    return said, line.split()


def test_ctrl_c_while_waiting_says_that_the_batch_goes_on(up: Up, folder: Path) -> None:
    with up.workers_stopped():
        said, words = interrupted(up, "submit", str(folder), "--wait", after="batch ")
        batch_id = words[1].rstrip(":")
        watched, _ = interrupted(up, "watch", batch_id, after="% ")
    for sentence in (said, watched):
        assert f"gonogo watch {batch_id}" in sentence
        assert f"gonogo cancel {batch_id}" in sentence
    with up.client() as client:
        assert client.wait(batch_id, timeout_s=90)["counts"]["succeeded"] == 6


def test_a_link_that_is_cut_five_times_costs_parts_and_the_command_says_how_far_it_was(
    run: Run, up: Up, tmp_path: Path
) -> None:
    # They fail at once, which makes them quick. Twelve files are six parts.
    made = {f"{number:02d}.jpg": b"\xff\xd8\xff" + os.urandom(500_000) for number in range(12)}
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    with CuttingProxy(up.port, [600_000, *[1_600_000] * 4]) as proxy:
        sent = run(
            "submit", str(tmp_path), "--part-mb", "1", "--json", "--url", f"http://127.0.0.1:{proxy.port}"
        )
        assert proxy.cut == 5
    batch = json.loads(sent.stdout)
    assert batch["counts"]["total"] == len(made)
    assert sent.stderr.count("going on at") == 5
    assert re.search(r"going on at [1-3]\.\d MB of 6\.0 MB", sent.stderr)
    rows = csv.DictReader(run("results", batch["id"]).stdout.splitlines())
    assert sorted(row["filename"] for row in rows) == sorted(made)


def test_a_sending_that_ends_names_the_batch_that_keeps_its_parts(
    run: Run, up: Up, folder: Path, tmp_path: Path
) -> None:
    tmp_path = tmp_path / "big"
    tmp_path.mkdir()
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(b"\xff\xd8\xff" + os.urandom(500_000))
    sending = ["submit", str(tmp_path), "--part-mb", "1"]
    with CuttingProxy(up.port, [2_500_000, *[100] * 1000]) as proxy:
        cut = ["--url", f"http://127.0.0.1:{proxy.port}", "--webhook", "https://receiver.example/gonogo"]
        said, _ = interrupted(up, *sending, *cut, after="going on at")
    assert said.count("webhook secret (shown once): whsec_") == 1
    named = re.search(r"--resume (bat_\w+)", said)
    assert named is not None, said
    assert f"gonogo delete {named[1]}" in said
    refused = run("submit", str(folder), "--part-mb", "1", "--resume", named[1])  # another folder
    assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (1, "", 1), (
        refused.stderr
    )
    assert f"{named[1]} holds '0.jpg' and" in refused.stderr
    went_on = run("submit", str(tmp_path), "--resume", named[1], "--json")  # without --part-mb
    assert (json.loads(went_on.stdout)["id"], json.loads(went_on.stdout)["counts"]["total"]) == (named[1], 8)
    rows = csv.DictReader(run("results", named[1]).stdout.splitlines())
    assert sorted(row["filename"] for row in rows) == [f"{number}.jpg" for number in range(8)]


def test_results_whose_link_is_cut_five_times_are_whole_and_the_command_says_how_far_it_was(
    run: Run, up: Up
) -> None:
    # They fail at once, which makes them quick.
    with up.client() as client:
        batch = client.submit(
            [(f"{number:04d}.jpg", b"\xff\xd8\xff" + os.urandom(9)) for number in range(1200)]
        )
        client.wait(batch["id"], timeout_s=90)
    for form in ("csv", "ndjson"):
        argv = ("results", batch["id"], "--format", form)
        with CuttingProxy(up.port, [100, 10_000, 30_000, 20_000, 25_000], answers=True) as proxy:
            cut = run(*argv, "--url", f"http://127.0.0.1:{proxy.port}")
            assert proxy.cut == 5, (len(cut.stdout), cut.stderr)
        assert cut.returncode == 0, cut.stderr
        assert cut.stdout == run(*argv).stdout
        told = [int(rows) for rows in re.findall(r"going on after (\d+) items", cut.stderr)]
        assert told == sorted(told)
        assert 4 <= len(told) <= 5, "the first cut is of the header"
        assert 0 < told[-1] < 1200
