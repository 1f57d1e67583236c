"""A worker's NumPy uses one thread: idle threads of OpenBLAS spin and take the cores of the other workers."""

import os
import subprocess
import sys

import pytest

from tests.harness.processes import ROOT

_PRODUCT = """
import psutil
{first}
import numpy
numpy.ones((600, 600)) @ numpy.ones((600, 600))
print(psutil.Process().num_threads())
"""
_KEPT = "from worker.program import one_thread_for_numpy; one_thread_for_numpy()"


def threads(first: str) -> int:
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    ran = subprocess.run(
        [sys.executable, "-c", _PRODUCT.format(first=first)],
        cwd=ROOT, env={**clean, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(ran.stdout)


@pytest.mark.skipif(os.cpu_count() == 1, reason="on one core NumPy has one thread anyway")
def test_numpy_has_one_thread_in_a_worker() -> None:
    assert threads("") > 1, "NumPy starts more by itself, else this test shows nothing"
    assert threads(_KEPT) == 1
