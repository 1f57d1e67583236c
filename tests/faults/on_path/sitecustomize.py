"""Python imports this first in every process whose PYTHONPATH names this folder: the tests' hooks go in."""

import os

if os.environ.get("FAULTS_POINTS") or os.environ.get("FAULTS_SKEW_S") or os.environ.get("FAULTS_MUTANT"):
    from tests.faults import hooks

    hooks.install()
