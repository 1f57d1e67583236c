"""The bound of a promise once more, by MAPIE's risk control: the check of `training.proof.bounds`, and no part of it.

MAPIE is a package of its own authors with the extra `quality`; no training and no service needs it.
"""

import warnings
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray


def is_installed() -> bool:
    return find_spec("mapie") is not None


def bound_by_mapie(lowest: NDArray[np.float64], rate: float, confidence: float) -> float | None:
    """The highest score that MAPIE allows as bound for defective parts with the lowest scores (N,); None: none.

    It tests one bound after another, from the lowest score up, until the tail of a binomial no longer proves that at
    most `rate` of such parts lie below. Its rounding may turn k misses among n parts into k + 1, and then the bound is
    the next lower score.
    """
    from mapie.risk_control import BinaryClassificationController, BinaryRisk

    missed = BinaryRisk(lambda true, said: said == 0, lambda true, said: true == 1, higher_is_better=False)
    control = BinaryClassificationController(
        lambda scores: np.stack([1 - scores, scores], 1),
        missed,
        rate,
        confidence_level=confidence,
        best_predict_param_choice=missed,
        list_predict_params=np.sort(lowest),
        fwer_method="fixed_sequence",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where no bound holds, which None tells here
        control.calibrate(lowest, np.ones(len(lowest), np.int64))
    valid = np.asarray(control.valid_predict_params)
    return float(valid.max()) if len(valid) else None
