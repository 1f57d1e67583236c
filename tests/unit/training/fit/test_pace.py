import subprocess
import sys

import pytest

FAULTS = """
import ctypes, resource, sys
if not hasattr(ctypes.CDLL(None), "mallopt"):
    sys.exit("no glibc")
import torch
from training.fit.pace import keep_freed_memory

def faults():
    torch.ones(8_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(8_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = faults()
keep_freed_memory()
print(usual, faults())
"""


def test_freed_arrays_are_used_again_instead_of_faulted_in_anew() -> None:
    """In a process of its own: the setting holds for all of it."""
    ran = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=False)
    if "no glibc" in ran.stderr:
        pytest.skip("not glibc")

    usual, kept = map(int, ran.stdout.split())

    assert kept < usual / 20, ran.stderr
