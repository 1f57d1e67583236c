"""The mechanisms, each taken out on purpose: a row that stays green without one proves nothing about it.

Applied inside the child processes by the environment (see hooks); no product code knows of it.
"""

import os

from tests.faults.mutants import around, bounds, core, told
from tests.faults.mutants.mutant import Mutant

__all__ = ["MUTANTS", "Mutant", "apply"]
MUTANTS: dict[str, Mutant] = {**core.MUTANTS, **around.MUTANTS, **bounds.MUTANTS, **told.MUTANTS}


def apply() -> None:
    """Take the mechanism that the environment names out of this process."""
    MUTANTS[os.environ["FAULTS_MUTANT"]].take_out()
