"""The import contracts hold, and a process that needs no torch does not load it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision")


def run(code: str, *argv: str, **extra: str) -> str:
    """Run Python in a process of its own; returns what it printed."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GONOGO_")}
    done = subprocess.run(
        [sys.executable, "-c", code, *argv],
        cwd=ROOT,
        env={**clean, **extra},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_import_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


WEB = """
import os, sys
from pathlib import Path
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.migrations.upgrade import migrate
migrate(Database(Settings.from_env().database))
import web.wsgi
assert web.wsgi.app.test_client().get("/livez").status_code == 200
"""
WORKER = """
import sys
from pathlib import Path
import numpy as np
import worker.app, worker.tasks, worker.inference.infer, worker.inference.drawings
import worker.webhooks.deliver, worker.upkeep.sweep
from shared.registry.artifact import read_artifact
from worker.inference.engines.load import load_engine
engine = load_engine(read_artifact(Path(sys.argv[1])), device="cpu")
assert engine.predict(np.zeros((2, 64, 64, 1), np.uint8)).shape == (2,)
"""
PARENT = """
import sys
import worker.app, worker.tasks
assert {"worker.infer", "worker.draw", "worker.deliver"} <= set(worker.app.app.tasks)
"""
CLI = """
import importlib, pkgutil
import shared.cli
names = [module.name for module in pkgutil.walk_packages(shared.cli.__path__, "shared.cli.")]
assert len(names) > 5
for name in names:
    importlib.import_module(name)
"""
RENDERER = """
import sys
from pathlib import Path
from training import program
sys.argv = ["training", "render", "--help"]
try:
    program.main()
except SystemExit as ended:
    assert not ended.code
import training.synthetic.render
"""
REPORT = "\nimport sys; print(*[name for name in sys.argv[2].split(',') if name in sys.modules])"


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        (WEB, (*HEAVY, "onnxruntime", "numpy", "PIL", "worker", "training")),
        (WORKER, (*HEAVY, "web", "training", "flask", "pydantic")),
        (
            PARENT,
            (
                *HEAVY,
                "web",
                "training",
                "flask",
                "numpy",
                "PIL",
                "onnxruntime",
                "sqlalchemy",
                "redis",
                "pydantic",
            ),
        ),
        (
            CLI,
            (
                *HEAVY,
                "web",
                "worker",
                "training",
                "flask",
                "celery",
                "sqlalchemy",
                "numpy",
                "PIL",
                "pydantic",
            ),
        ),
        (RENDERER, (*HEAVY, "web", "worker", "flask", "celery")),
    ],
    ids=["web", "CPU worker", "Celery's parent", "CLI", "renderer"],
)
def test_a_process_loads_nothing_that_it_can_do_without(
    code: str, unwanted: tuple[str, ...], artifact: Path, tmp_path: Path
) -> None:
    settings = {
        "GONOGO_DATA_DIR": str(tmp_path),
        "GONOGO_BROKER_URL": "unix:///nowhere.sock",
        "GONOGO_INSTALLATION": "test",
    }
    loaded = run(code + REPORT, str(artifact), ",".join(unwanted), **settings)
    assert loaded.splitlines()[-1].split() == []


def test_the_report_would_see_torch() -> None:
    assert run("import torch" + REPORT, "", "torch,flask").split() == ["torch"]
