import numpy as np
from numpy.typing import NDArray

from shared.contract.operating_point import OperatingPoint
from training.proof.findings import failings
from training.proof.metrics import Report, report

LABELS = np.repeat([0, 1], 20)
GROUPS = np.arange(40)


def of(scores: NDArray[np.float64]) -> Report:
    return report(scores, LABELS, GROUPS, OperatingPoint(0.5, 0.4, 0.6))


def test_a_model_that_passes_half_of_the_defects_unseen_earns_a_warning() -> None:
    useless = of(np.full(40, 0.01))
    assert failings(useless, 0.0) == ["20 of the 20 defects of the test part get `no_defect` without a look"]
    seen = of(np.where(LABELS == 1, 0.45, 0.01))  # below the threshold, and in the band
    assert seen.escapes == 20 and failings(seen, 0.0) == []
    assert failings(of(np.where(LABELS == 1, 0.9, 0.1)), 0.0) == []


def test_a_model_that_no_defect_was_shown_to_earns_a_warning() -> None:
    good = report(np.full(20, 0.01), LABELS[:20], GROUPS[:20], OperatingPoint(0.5, 0.4, 0.6))
    (said,) = failings(good, None)
    assert "no defect was judged" in said


def test_a_test_part_that_the_guard_sends_to_a_person_earns_a_warning() -> None:
    good = of(np.where(LABELS == 1, 0.9, 0.1))
    assert failings(good, 0.05) == []
    (said,) = failings(good, 0.9833)
    assert "98.3%" in said and "the score alone" in said
