"""The parts that only the bound of a promised escape rate sees."""

import math
from collections.abc import Sequence

import numpy as np

from training.data.records import DataError, Record
from training.data.splits import FRACTIONS
from training.proof.bounds import cases_needed
from training.proof.operating_point import Costs, defective_parts, promise_text

MOST = 0.5  # of the defective parts: as many are needed to learn from, to select by and to measure


def proof_of(records: Sequence[Record], costs: Costs, seed: int) -> list[Record]:
    """The images of whole parts, drawn at random, that only the bound of a promise will see.

    They hold as many defective parts as the promise needs, or as a usual validation part would. Good parts come along
    in the same share: the others keep the mix for which scores are calibrated. Raises DataError as `check_parts` does.
    """
    assert costs.max_escape_rate is not None
    check_parts(records, costs)
    defective = {record.group for record in records if record.label}
    good = {record.group for record in records} - defective
    count = max(cases_needed(costs.max_escape_rate, costs.confidence), int(FRACTIONS[1] * len(defective)))
    rng = np.random.default_rng(seed)
    drawn: set[str] = set()
    for groups, wanted in ((defective, count), (good, count * len(good) // len(defective))):
        drawn |= set(rng.permutation(sorted(groups))[:wanted].tolist())
    return [record for record in records if record.group in drawn]


def check_parts(records: Sequence[Record], costs: Costs) -> None:
    """Raise DataError, which says how many defective parts are needed, where these are too few for the promise."""
    if costs.max_escape_rate is None:
        return
    parts, needed = defective_parts(records), cases_needed(costs.max_escape_rate, costs.confidence)
    whole = math.ceil(needed / MOST)
    if parts < whole:
        raise DataError(
            f"{promise_text(costs)}, and as many others to learn from, to select by and to measure on: {whole} in all, "
            f"outside a test part that the data names; here are {parts}: {whole - parts} more are needed"
        )
