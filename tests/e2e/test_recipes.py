"""docs/recipes.md: every recipe runs as it stands against a running service, in curl and in Node."""

import csv
import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.harness.cutting import CuttingProxy
from tests.harness.images import jpeg
from tests.harness.processes import ROOT, free_port, until
from tests.harness.stack import Stack

PAGE = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"<!-- run: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))
NAMES = ("part-1.jpg", "part-2.jpg")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the images that the recipes name."""
    for number, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(jpeg(random.Random(number), side=256))
    return tmp_path


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs {program} on the PATH")
    return str(found)


def run(stack: Stack, folder: Path, name: str, *, url: str = "", **extra: str) -> str:
    """Run a recipe in the folder; what it printed."""
    environment = {"PATH": os.environ["PATH"], "URL": url or stack.url, "KEY": stack.key, **extra}
    if name.endswith("js"):
        (folder / name).write_text(RECIPES[name], encoding="utf-8")
        command = [needs("node"), name]
    else:
        needs("curl")
        command = [needs("bash"), "-euo", "pipefail", "-c", RECIPES[name]]
    ran = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_every_block_of_the_page_is_a_recipe_that_a_test_runs() -> None:
    assert PAGE.count("```sh") + PAGE.count("```js") == len(RECIPES)
    tested = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in RECIPES if f'"{name}"' not in tested] == []


def test_curl_submits_waits_and_saves_the_verdicts(stack: Stack, folder: Path) -> None:
    run(stack, folder, "submit")
    rows = list(csv.DictReader((folder / "results.csv").read_text().splitlines()))
    assert sorted(row["filename"] for row in rows) == [*NAMES]
    assert {row["status"] for row in rows} == {"succeeded"}
    run(stack, folder, "submit")
    with stack.client() as client:
        assert len(list(client.batches(lot="4711", line="A3"))) == 1, "the repetition made no second batch"


def test_curl_asks_for_the_verdict_of_one_image(stack: Stack, folder: Path) -> None:
    run(stack, folder, "predict")
    assert json.loads((folder / "verdict.json").read_text())["filename"] == "part-1.jpg"


@pytest.mark.parametrize("name", ["parts", "parts.mjs"])
def test_an_upload_in_parts_goes_on_after_its_link_broke(stack: Stack, folder: Path, name: str) -> None:
    with CuttingProxy(stack.settings.port, [3000]) as proxy:
        printed = run(stack, folder, name, url=f"http://127.0.0.1:{proxy.port}")
        assert proxy.cut == 1
    if name == "parts":
        assert json.loads((folder / "draft.json").read_text())["draft"]["part_numbers"] == [[1, 2]]
        batch_id = json.loads((folder / "finalized.json").read_text())["id"]
    else:
        batch_id = printed.split()[-3]
        assert printed.split()[-1] == "2"
    with stack.client() as client:
        client.wait(batch_id, timeout_s=60)
        assert [item["filename"] for item in client.items(batch_id)] == [*NAMES]


def test_node_submits_waits_and_reads_the_results(stack: Stack, folder: Path) -> None:
    printed = run(stack, folder, "submit.mjs")
    assert sorted(line.split()[0] for line in printed.splitlines()) == [*NAMES]
    lines = (folder / "results.ndjson").read_text().splitlines()
    assert {json.loads(line)["status"] for line in lines} == {"succeeded"}


def test_node_receives_a_webhook_and_refuses_a_forged_one(stack: Stack, folder: Path) -> None:
    """The receiver of the page, below the verification of docs/webhooks.md."""
    page = (ROOT / "docs/webhooks.md").read_text(encoding="utf-8")
    verification = re.search(r"<!-- node -->\n```js\n(.*?)```", page, re.DOTALL)
    assert verification is not None
    (folder / "receiver.cjs").write_text(verification[1] + RECIPES["receiver.cjs"], encoding="utf-8")
    port, secret, log = free_port(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", folder / "receiver.log"
    environment = {"PATH": os.environ["PATH"], "PORT": str(port), "SECRET": secret}
    with log.open("wb") as output:
        receiver = subprocess.Popen(
            [needs("node"), "receiver.cjs"], cwd=folder, env=environment, stdout=output
        )
    try:
        until(lambda: "listening" in log.read_text(), 20, "the receiver listens")
        forged = {"webhook-id": "whd_1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
        headers = [part for name, value in forged.items() for part in ("-H", f"{name}: {value}")]
        url = f"http://127.0.0.1:{port}/"
        subprocess.run([needs("curl"), "-s", *headers, "-d", "{}", url], check=True, timeout=20)
        until(lambda: "refused: " in log.read_text(), 20, "the forged message is refused")
        with stack.client() as client:
            sources = [(name, (folder / name).read_bytes()) for name in NAMES]
            batch = client.submit(sources, {"webhook": {"url": url, "secret": secret}})
            client.wait(batch["id"], timeout_s=60)
        until(lambda: f"batch.completed {batch['id']} completed" in log.read_text(), 30, log.read_text())
    finally:
        receiver.terminate()
        receiver.wait(10)
