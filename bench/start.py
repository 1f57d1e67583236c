"""How long a start takes: importing the web program, and `gonogo up` to its first ready answer."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from bench.table import Row
from tests.harness.processes import free_port

_ROOT = Path(__file__).parent.parent


def measure(folder: Path, *, repeats: int = 5) -> list[Row]:
    """Medians. The data dir exists and has been used before: the first start also makes it."""
    imports = [_import_s() for _ in range(repeats)]
    _up_s(folder)
    ups = [_up_s(folder) for _ in range(3)]
    return [
        Row("start: the web program imported", float(np.median(imports)), "s", reach=1.0, at_most=True),
        Row("start: `gonogo up` ready, warm", float(np.median(ups)), "s", reach=6.0, at_most=True),
    ]


def _import_s() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import web.app"], cwd=_ROOT, check=True, timeout=60)
    return time.perf_counter() - started


def _up_s(folder: Path) -> float:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GONOGO_")}
    command = [
        sys.executable,
        "-m",
        "shared.cli.main",
        "up",
        "--data-dir",
        str(folder),
        "--port",
        str(free_port()),
    ]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=_ROOT, env=clean, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready:"):
                return time.perf_counter() - started
        raise RuntimeError("`gonogo up` ended before it was ready")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
