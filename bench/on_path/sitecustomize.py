"""Python imports this first in every process whose PYTHONPATH names this folder: see bench/sleeping.py."""

import os

if os.environ.get("BENCH_SLEEPING_ENGINE"):
    from bench import sleeping

    sleeping.install()
