"""Choose the network that serves: the small one, the pretrained features, or the mean of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.registry.artifact import Calibration
from training.fit.part import Part
from training.proof.calibrate import fit_calibration
from training.proof.metrics import auroc

SMALL, FEATURES, MEAN = "small", "features", "mean"
SERVED = ("auto", SMALL, FEATURES, MEAN)
_RESAMPLES = 500
_SURE = 0.9  # of the resamples must speak for a network that is many times slower

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Choice:
    """`kind` serves. `scales` bring the two logits to one scale: rows small, features; columns factor, offset."""

    kind: str
    scales: NDArray[np.float32]
    card: dict[str, Any]


def choose_served(logits: Mapping[str, Floats], held: Part, wanted: str) -> Choice:
    """Logits (N,) of `small` and `features` for images `held` that neither has learned; `wanted` as in SERVED.

    The small network serves unless another has the smaller loss in nine of ten resamples of the groups.
    """
    fitted = {name: fit_calibration(values, held.labels, held.groups) for name, values in logits.items()}
    scaled = {name: fitted[name].scale * values + fitted[name].offset for name, values in logits.items()}
    scaled[MEAN] = (scaled[SMALL] + scaled[FEATURES]) / 2
    losses = {name: _losses(values, held.labels) for name, values in scaled.items()}
    by_group = {name: _by_group(values, held.groups) for name, values in losses.items()}
    best = min((FEATURES, MEAN), key=lambda name: by_group[name].mean())
    gain = by_group[SMALL] - by_group[best]
    drawn = np.random.default_rng(0).integers(len(gain), size=(_RESAMPLES, len(gain)))
    speaks_for = float((gain[drawn].mean(1) > 0).mean())
    kind = wanted if wanted != "auto" else best if speaks_for >= _SURE else SMALL
    card = {
        "served": kind,
        "asked": wanted,
        "better_than_small": {"name": best, "share_of_resamples": round(speaks_for, 3)},
        "candidates": {
            name: {
                "log_loss": round(float(by_group[name].mean()), 5),
                "auroc": round(auroc(scaled[name].astype(np.float64), held.labels), 5),
            }
            for name in (SMALL, FEATURES, MEAN)
        },
    }
    return Choice(kind, _scales(fitted[SMALL], fitted[FEATURES]), card)


def _scales(small: Calibration, features: Calibration) -> NDArray[np.float32]:
    return np.array([[c.scale / 2, c.offset / 2] for c in (small, features)], np.float32)


def _losses(logits: Floats, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.logaddexp(0, np.where(labels == 1, -logits, logits).astype(np.float64))


def _by_group(losses: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean loss of each group, so that a part with many images weighs like any other."""
    _, place = np.unique(groups, return_inverse=True)
    return np.asarray(np.bincount(place, losses) / np.bincount(place))
