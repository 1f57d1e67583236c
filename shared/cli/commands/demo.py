"""`gonogo demo`: judge images whose defects are known with the whole service, and compare with the truth."""

from __future__ import annotations

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

import click

from shared.cli import truth
from shared.cli.batch_text import follow
from shared.cli.embedded import stack
from shared.cli.embedded.data_dir import admin_key
from shared.cli.embedded.processes import start
from shared.cli.output import Progress, megabytes
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.contract.batches import BatchPayload

_SEED = 90210  # no model was trained, validated or tested on the images of this seed
_READY_S = 150.0


@click.command(
    short_help="show the whole service on images made here",
    epilog="Exit status: 0 every image got its verdict; 1 the service did not start; 4 an image got none.",
)
@click.option(
    "--images", type=click.IntRange(min=1), default=1000, show_default=True, help="How many images."
)
@click.option(
    "--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Inference processes."
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=Path("demo-data"),
    show_default=True,
    help="Keeps the images.",
)
@click.option("--keep", is_flag=True, help="Keep the service's data dir and name it.")
def demo(images: int, workers: int, data_dir: Path, keep: bool) -> int:
    """Draw images of parts, start the service in a new data dir on a free port, send the images as one batch, and
    compare the verdicts with the truth.
    """
    from shared.cli.doctor.installed import base_size

    stack.valkey_binary()  # without it nothing below can work
    size = base_size()
    shown = "unknown, since gonogo runs from its folder" if size is None else megabytes(size)
    print(f"installed size: {shown} (what serving needs; torch is not part of it)", flush=True)
    began = time.monotonic()
    drawn = _render(data_dir.resolve(), images)
    print(f"images: {images} in {drawn} ({time.monotonic() - began:.1f} s)", flush=True)
    service_dir = Path(tempfile.mkdtemp(prefix="gonogo-demo-"))
    try:
        with _running_stack(service_dir, workers) as url:
            status = _inspect(url, service_dir, drawn, base=began)
            print("stopping the service", flush=True)
    finally:
        if not keep:
            shutil.rmtree(service_dir, ignore_errors=True)
    _where_next(service_dir if keep else None)
    return status


def _render(folder: Path, count: int) -> Path:
    """Return the folder of the images; the training program draws them unless an earlier demo did."""
    wanted = folder / f"images-{count}"
    if (wanted / "images.csv").exists():
        return wanted
    drawn = folder / f"images-{count}.part"
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
            progress.show(done / count, f"drawing {done}/{count} images")
            time.sleep(0.2)
    finally:
        child.kill()
        child.wait()
    if child.returncode != 0:
        raise stack.NotStarted(f"the images could not be drawn: {stack.last_words(log)}")
    progress.show(1.0, f"drawing {count}/{count} images", final=True)
    drawn.rename(wanted)
    return wanted


@contextmanager
def _running_stack(data_dir: Path, workers: int) -> Iterator[str]:
    """Run `gonogo up` as a child, wait until it is ready, and stop it at the end."""
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


def _inspect(url: str, data_dir: Path, images: Path, *, base: float) -> int:
    """Send the images, follow them, and compare each verdict with the truth."""
    from shared.client.client import Client

    with Client(url, admin_key(data_dir)) as client:
        began = time.monotonic()
        folders = [images / "defect", images / "no_defect"]
        sources = [path for folder in folders for path in sorted(folder.glob("*.jpg"))]
        batch = client.submit(sources, {"name": "demo"})
        print(f"batch: {batch['id']} accepted after {time.monotonic() - began:.1f} s", flush=True)
        batch = follow(client, batch["id"], timeout_s=900.0)
        took = time.monotonic() - began
        items = list(client.items(batch["id"], sort="-score"))
    total = batch["counts"]["total"]
    print(f"\n{total} verdicts in {took:.1f} s from the first byte sent: {total / took:.1f} images/s\n")
    truth.compare(items, truth.read(images))
    print(f"\nall in all {time.monotonic() - base:.1f} s")
    return _status(batch, len(sources))


def _status(batch: BatchPayload, sent: int) -> int:
    counts = batch["counts"]
    whole = batch["status"] == "completed" and counts["succeeded"] == counts["total"] == sent
    if not whole:
        print(f"not every image got its verdict: {batch['status']}, {counts}", file=sys.stderr)
    return 0 if whole else 4


def _where_next(kept: Path | None) -> None:
    if kept is not None:
        print(f"the service's data dir was kept: gonogo up --data-dir {kept}")
    print("next: `gonogo up`, open the page it names, drop images on it")
    print("      `gonogo submit FOLDER --wait --output results.csv`, `gonogo doctor`, `gonogo --help`")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
