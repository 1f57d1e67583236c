"""`gonogo doctor --repair`: runs the worker program's repair as a child and turns its lines into findings."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.cli.doctor.findings import Finding
from shared.cli.embedded import data_dir as data_dirs
from shared.cli.embedded import queue_log, stack
from shared.errors import GonogoError
from shared.settings import Settings

_PATIENCE_S = 1800.0
_NEED_BROKER = {"messages", "deliveries", "fetches", "unfetched"}


def repair(data_dir: Path | None, *, dry_run: bool) -> Iterator[Finding]:
    """The findings of the repair; with `dry_run` it mends nothing."""
    try:
        settings = Settings.from_env()
    except GonogoError:
        return  # the checks have said so
    folder = (data_dir or settings.data_dir).expanduser().resolve()
    settings = replace(settings, data_dir=folder)
    file = settings.sqlite_file
    if file is not None and not file.exists():
        yield Finding("repair", "skipped", f"{file} does not exist yet")
        return
    wired, socket = data_dirs.with_broker(settings)
    if socket is not None and not data_dirs.is_locked(folder):
        yield from set_queue_log_aside(settings, dry_run=dry_run)
    runs = socket is None or data_dirs.is_locked(folder)
    argv = [sys.executable, "-m", "worker.upkeep.repair", *(["--dry-run"] if dry_run else [])]
    done = subprocess.run(
        argv,
        env=stack.environment(wired),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    for line in done.stdout.splitlines():
        yield _finding(json.loads(line), has_broker=runs)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        yield Finding("repair", "problem", f"it broke off: {said}", "see the lines above")


def set_queue_log_aside(settings: Settings, *, dry_run: bool) -> Iterator[Finding]:
    """Set the folder of an embedded broker that does not run aside if a power cut has made it unreadable."""
    trouble = queue_log.damage(settings)
    if trouble is not None and dry_run:
        yield Finding("repair queue's log", "problem", f"{trouble}: would be set aside")
    elif trouble is not None:
        yield Finding("repair queue's log", "mended", f"{trouble}: lies in {queue_log.mend(settings)} now")


def _finding(line: dict[str, Any], *, has_broker: bool) -> Finding:
    name, about = f"repair {line['name']}", line["detail"]
    if line["put_off"]:
        return Finding(name, "skipped", line["put_off"], "run it again later")
    if line["error"]:
        if line["name"] in _NEED_BROKER and not has_broker:
            return Finding(name, "skipped", "the embedded broker does not run", "`gonogo up` sends them")
        return Finding(name, "problem", f"{about}: {line['error']}")
    found, mended = line["found"], line["mended"]
    if not found:
        return Finding(name, "ok", "nothing to mend")
    what = f"{found} {about}" if mended == found else f"{mended} of {found} mended; {about}"
    return Finding(name, "mended" if mended == found else "problem", what)
