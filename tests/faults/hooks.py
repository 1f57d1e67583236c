"""What the tests change in a child process, told by its environment, so that the product holds none of it.

`FAULTS_POINTS="module:Class.method,..."` puts a failpoint, named `Class.method`, before a call.
`FAULTS_SKEW_S` makes this process's clock wrong. `FAULTS_MUTANT` removes a mechanism (see mutants).
"""

import functools
import importlib
import os
import time
from typing import Any

from shared import failpoints


def install() -> None:
    """Apply what the environment asks for."""
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
    if mutant := os.environ.get("FAULTS_MUTANT"):
        from tests.faults import mutants

        mutants.apply(mutant)


def _with_point(point: str, call: Any) -> Any:
    @functools.wraps(call)
    def pointed(*args: Any, **kwargs: Any) -> Any:
        failpoints.hit(point)
        return call(*args, **kwargs)

    return pointed
