"""Changes that a test makes inside a child process, so that the product holds none of them.

The child reads them from its environment: `child_environment` puts them there, `install` applies them.
`FAULTS_POINTS="module:Class.method,..."` puts a failpoint, named `Class.method`, before a call.
`FAULTS_SKEW_S` sets this process's clock wrong by so many seconds.
"""

import functools
import importlib
import os
import time
from pathlib import Path
from typing import Any

from shared import failpoints
from tests.harness.processes import ROOT

ON_PATH = Path(__file__).parent / "on_path"


def with_hooks(*hooks: str) -> dict[str, str]:
    """The environment that calls these `module:function` hooks at the start of a child, after those of this process."""
    called = dict.fromkeys([*os.environ.get("TEST_HOOKS", "").split(), *hooks])
    path = dict.fromkeys([str(ON_PATH), str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    return {"PYTHONPATH": os.pathsep.join(filter(None, path)), "TEST_HOOKS": " ".join(called)}


def child_environment(*hooks: str, **extra: str) -> dict[str, str]:
    """The environment that calls `install` and these hooks at the start of a child."""
    return {**with_hooks("tests.harness.hooks:install", *hooks), **extra}


def install() -> None:
    """Apply the changes that the environment names."""
    skew_s = float(os.environ.get("FAULTS_SKEW_S", "0"))
    if skew_s:
        true_time = time.time
        time.time = lambda: true_time() + skew_s
    for target in filter(None, os.environ.get("FAULTS_POINTS", "").split(",")):
        module, _, path = target.partition(":")
        owner: Any = importlib.import_module(module)
        *parents, name = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        setattr(owner, name, _with_point(path, getattr(owner, name)))


def _with_point(point: str, call: Any) -> Any:
    @functools.wraps(call)
    def pointed(*args: Any, **kwargs: Any) -> Any:
        failpoints.hit(point)
        return call(*args, **kwargs)

    return pointed
