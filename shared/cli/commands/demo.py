"""`gonogo demo`: pictures whose defects are known go through the whole service, and the result is checked."""

from __future__ import annotations

import argparse
import csv
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shared.cli.commands.batches import follow
from shared.cli.embedded import stack
from shared.cli.embedded.data_dir import admin_key
from shared.cli.embedded.processes import start
from shared.cli.output import Progress, megabytes, print_table
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.contract.batches import BatchPayload
    from shared.contract.items import ItemPayload

_SEED = 90210  # of no model's training, validation or test pictures
_WORST = 10
_READY_S = 150.0


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "demo",
        help="show the whole service on pictures made here",
        description="Draw pictures of parts, start the service in a new data dir on a free port, send "
        "them as one batch, and compare the verdicts with the truth.",
    )
    parser.add_argument("--images", type=int, default=1000, help="how many pictures (1000)")
    parser.add_argument("--workers", type=int, default=2, help="inference processes (2)")
    parser.add_argument(
        "--data-dir", type=Path, default=Path("demo-data"), help="keeps the pictures (demo-data)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the service's data dir and name it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit status 0 when every picture got its verdict, else 4."""
    from shared.cli.doctor.installed import base_size

    stack.valkey_binary()  # first of all: without it nothing below can work
    size = base_size()
    shown = "unknown, since gonogo runs from its folder" if size is None else megabytes(size)
    print(f"installed size: {shown} (what serving needs; torch is not part of it)", flush=True)
    began = time.monotonic()
    pictures = _render(arguments.data_dir.resolve(), arguments.images)
    print(f"pictures: {arguments.images} in {pictures} ({time.monotonic() - began:.1f} s)", flush=True)
    service_dir = Path(tempfile.mkdtemp(prefix="gonogo-demo-"))
    try:
        with _running_stack(service_dir, arguments.workers) as url:
            status = _inspect(url, service_dir, pictures, base=began)
            print("stopping the service", flush=True)
    finally:
        if not arguments.keep:
            shutil.rmtree(service_dir, ignore_errors=True)
    _where_next(service_dir if arguments.keep else None)
    return status


def _render(folder: Path, count: int) -> Path:
    """The folder of the pictures, drawn by the training program unless an earlier demo has drawn them."""
    wanted = folder / f"pictures-{count}"
    if (wanted / "images.csv").exists():
        return wanted
    drawn = folder / f"pictures-{count}.part"
    shutil.rmtree(drawn, ignore_errors=True)
    drawn.parent.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "training", "render", str(drawn), "--count", str(count)]
    log = folder / "render.log"
    log.unlink(missing_ok=True)
    child = start([*argv, "--seed", str(_SEED)], stack.environment(Settings.from_env()), log=log)
    progress = Progress()
    try:
        while child.poll() is None:
            done = sum(1 for _ in drawn.glob("*/*.jpg"))
            progress.show(done / count, f"drawing {done}/{count} pictures")
            time.sleep(0.2)
    finally:
        child.kill()
        child.wait()
    if child.returncode != 0:
        raise stack.NotStarted(f"the pictures could not be drawn: {stack.last_words(log)}")
    progress.show(1.0, f"drawing {count}/{count} pictures", final=True)
    drawn.rename(wanted)
    return wanted


@contextmanager
def _running_stack(data_dir: Path, workers: int) -> Iterator[str]:
    """`gonogo up` as a child, ready; ended again whatever happens."""
    port = _free_port()
    log = data_dir / "up.log"
    argv = [sys.executable, "-m", "shared.cli.main", "up", "--host", "127.0.0.1", "--port", str(port)]
    argv += ["--data-dir", str(data_dir), "--workers", str(workers)]
    environment = stack.environment(Settings.from_env())
    began = time.monotonic()
    child = start(argv, environment, log=log, death_signal=signal.SIGTERM)
    try:
        while not log.exists() or "ready: " not in log.read_text():
            if child.poll() is not None or time.monotonic() - began > _READY_S:
                raise stack.NotStarted(f"the service did not start: {stack.last_words(log)}")
            time.sleep(0.05)
        url = f"http://127.0.0.1:{port}"
        print(f"service: {url}, ready after {time.monotonic() - began:.1f} s", flush=True)
        yield url
    finally:
        child.terminate()
        try:
            child.wait(90.0)
        except subprocess.TimeoutExpired:
            child.kill()


def _inspect(url: str, data_dir: Path, pictures: Path, *, base: float) -> int:
    """Send the pictures, follow them, and compare each verdict with the truth."""
    from shared.client.client import Client

    with Client(url, admin_key(data_dir)) as client:
        began = time.monotonic()
        folders = [pictures / "defect", pictures / "no_defect"]
        sources = [path for folder in folders for path in sorted(folder.glob("*.jpg"))]
        batch = client.submit(sources, {"metadata": {"name": "demo"}})
        print(f"batch: {batch['id']} accepted after {time.monotonic() - began:.1f} s", flush=True)
        batch = follow(client, batch["id"], timeout_s=900.0)
        took = time.monotonic() - began
        items = list(client.items(batch["id"], sort="-score"))
    total = batch["counts"]["total"]
    print(f"\n{total} verdicts in {took:.1f} s from the first byte sent: {total / took:.1f} images/s\n")
    _compare(items, _truth(pictures))
    print(f"\nall in all {time.monotonic() - base:.1f} s")
    return _status(batch, len(sources))


def _truth(pictures: Path) -> dict[str, str]:
    """Filename → kind of its defect, or "" for a good part."""
    with (pictures / "images.csv").open(newline="") as file:
        return {
            Path(row["file"]).name: (row["kind"] or "defect") if row["label"] == "defect" else ""
            for row in csv.DictReader(file)
        }


def _compare(items: list[ItemPayload], truth: dict[str, str]) -> None:
    known = [(item, truth[Path(item["filename"]).name]) for item in items]
    print("worst parts first")
    rows = [
        (f"{item['score']:.3f}" if item["score"] is not None else "-", item["filename"], item["verdict"],
         kind or "good part")
        for item, kind in known[:_WORST]
    ]  # fmt: skip
    print_table(["score", "file", "verdict", "truth"], rows)
    bad = [item["verdict"] for item, kind in known if kind]
    good = [item["verdict"] for item, kind in known if not kind]
    print()
    print(f"escapes        {_share(bad.count('no_defect'), len(bad))} of the defects were let through")
    print(f"false rejects  {_share(good.count('defect'), len(good))} of the good parts were refused")
    review = bad.count("review") + good.count("review")
    print(f"review         {_share(review, len(known))} of all parts are left to a person")
    kinds = sorted({kind for _, kind in known if kind})
    missed = {kind: [item["verdict"] for item, this in known if this == kind] for kind in kinds}
    print_table(
        ["", "kind", "parts", "let through"],
        [("", kind, len(found), found.count("no_defect")) for kind, found in missed.items()],
    )


def _share(count: int, total: int) -> str:
    return f"{count} of {total} ({count / total:.1%})" if total else "0 of 0"


def _status(batch: BatchPayload, sent: int) -> int:
    counts = batch["counts"]
    whole = batch["status"] == "completed" and counts["succeeded"] == counts["total"] == sent
    if not whole:
        print(f"not every picture got its verdict: {batch['status']}, {counts}", file=sys.stderr)
    return 0 if whole else 4


def _where_next(kept: Path | None) -> None:
    if kept is not None:
        print(f"the service's data dir was kept: gonogo up --data-dir {kept}")
    print("next: `gonogo up`, open the page it names, drop pictures on it")
    print("      `gonogo submit FOLDER --wait --output results.csv`, `gonogo doctor`, `gonogo --help`")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
