"""Choose the network that serves: the small one, the pretrained features, the mean of both, or a cascade of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.json_text import Card
from shared.registry.artifact import Calibration
from training.fit.part import Part
from training.proof.calibrate import fit_calibration
from training.proof.metrics import auroc

SMALL, CASCADE, FEATURES, MEAN = "small", "cascade", "features", "mean"
SERVED = ("auto", SMALL, CASCADE, FEATURES, MEAN)
_RESAMPLES = 500
_SURE = 0.9  # of the resamples must speak for a slower network
_LIKELY = 0.8  # of those of few images, for another network than the features

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Pace:
    """CPU seconds of both networks on an image, and the images a CPU second that the service must reach, if any.

    Where no speed is asked, a cascade may take twice the time of the small network.
    """

    small: float
    features: float
    asked: float | None = None

    def share(self) -> float:
        """The most images that the features may judge in a cascade, as a share."""
        left = self.small if self.asked is None else 1 / self.asked - self.small
        return min(1.0, max(0.0, left / self.features))

    def seconds(self, name: str, share: float) -> float:
        """An image's seconds by a network; `share` is the cascade's."""
        more = {SMALL: 0.0, CASCADE: share, FEATURES: 1.0, MEAN: 1.0}[name] * self.features
        return more + (0.0 if name == FEATURES else self.small)

    def holds(self, name: str, share: float) -> bool:
        """Whether a network is as fast as was asked."""
        return self.asked is None or self.seconds(name, share) <= 1.001 / self.asked


@dataclass(frozen=True)
class Choice:
    """`kind` serves. `scales` bring the two logits to one scale: rows small, features; columns factor, offset.

    They make the logits of the mean and the cascade log odds less the `centre` that choose_served was given. `logits`
    (N,) are those that the network gives for the held-out images, and `unsure` is the cascade's bound.
    """

    kind: str
    scales: NDArray[np.float32]
    logits: Floats
    unsure: float
    card: Card


def choose_served(
    logits: Mapping[str, Floats],
    held: Part,
    wanted: str,
    pace: Pace | None = None,
    *,
    few: bool = False,
    centre: float = 0.0,
) -> Choice:
    """Logits (N,) of `small` and `features` for images `held` that neither has learned; `wanted` as in SERVED; `centre`
    are the log odds from which on an image is a defect.

    From the fastest on, a slower network takes over where it has the smaller loss in nine of ten resamples of the
    groups. Of `few` images the features serve, unless another network has it in eight of ten: forty images cannot tell
    whether a small network has learned the defect or these forty. Without a `pace` there is no cascade. The small
    network serves where none is as fast as was asked.
    """
    fitted = {name: fit_calibration(values, held.labels, held.groups) for name, values in logits.items()}
    odds = {name: fitted[name].scale * values + fitted[name].offset for name, values in logits.items()}
    odds[MEAN] = (odds[SMALL] + odds[FEATURES]) / 2
    most = pace.share() if pace else 0.0
    away = np.abs(odds[SMALL] - centre)
    unsure = _bound(away, most)
    asked = away < unsure
    share = float(asked.mean())
    if share > 0 and (most < 1 or wanted == CASCADE):
        odds[CASCADE] = np.where(asked, odds[MEAN], odds[SMALL])
    loss = {name: _by_group(_losses(values, held.labels), held.groups) for name, values in odds.items()}
    fast_enough = [name for name in odds if pace is None or pace.holds(name, share)]
    kind = FEATURES if few and FEATURES in fast_enough else SMALL
    first = [CASCADE] if kind == SMALL and CASCADE in fast_enough else []
    rest = sorted((n for n in fast_enough if n not in (kind, *first)), key=lambda name: loss[name].mean())
    steps, enough = [], _LIKELY if few else _SURE
    for name in first + rest[:1]:
        speaks_for = _share_for(loss[kind] - loss[name])
        steps.append({"name": name, "than": kind, "share_of_resamples": round(speaks_for, 3)})
        kind = name if speaks_for >= enough else kind
    # Where the asked speed leaves the strong network nothing, a cascade would be the small network.
    kind = kind if wanted == "auto" else wanted if wanted in odds else SMALL
    card: Card = {
        "served": kind,
        "asked": wanted,
        "asked_images_per_second": pace.asked if pace else None,
        "better": steps,
        "candidates": {
            name: {
                "log_loss": round(float(loss[name].mean()), 5),
                **_right(odds[name], held, centre),
                **({"images_per_second": round(1 / pace.seconds(name, share), 1)} if pace else {}),
            }
            for name in (SMALL, CASCADE, FEATURES, MEAN)
            if name in odds
        },
    }
    if kind == CASCADE:
        gain = _gain(card["candidates"])
        card["cascade"] = {"unsure": round(unsure, 5), "share": round(share, 4), "gain": gain}
    given = logits[kind] if kind in logits else (odds[kind] - centre).astype(np.float32)
    return Choice(kind, _scales(fitted[SMALL], fitted[FEATURES], centre), given, unsure, card)


def _gain(candidates: Card) -> Card:
    """The figures of the cascade less those of the small network alone."""
    return {
        name: round(candidates[CASCADE][name] - candidates[SMALL][name], 5)
        for name in ("log_loss", "auroc", "accuracy")
    }


def _right(odds: Floats, held: Part, centre: float) -> Card:
    """The lines of a candidate that its log odds (N,) alone give; from `centre` on an image is a defect."""
    return {
        "auroc": round(auroc(odds.astype(np.float64), held.labels), 5),
        "accuracy": round(float(((odds > centre) == (held.labels == 1)).mean()), 5),
    }


def _bound(away: Floats, most: float) -> float:
    """The distance below which the share `most` of the images lies, whatever their labels; 0 where that is none."""
    distances = np.sort(away)
    count = int(most * len(distances))
    return float(distances[min(count, len(distances) - 1)]) if count else 0.0


def surely_better(one: Floats, other: Floats, held: Part) -> bool:
    """Whether logits (N,) have the smaller loss than others in nine of ten resamples of the groups."""
    gains = [_by_group(_losses(values, held.labels), held.groups) for values in (other, one)]
    return _share_for(gains[0] - gains[1]) >= _SURE


def _share_for(gain: NDArray[np.float64]) -> float:
    """How many resamples of the groups have a gain; gain (groups,)."""
    drawn = np.random.default_rng(0).integers(len(gain), size=(_RESAMPLES, len(gain)))
    return float((gain[drawn].mean(1) > 0).mean())


def _scales(small: Calibration, features: Calibration, centre: float) -> NDArray[np.float32]:
    return np.array([[c.scale / 2, (c.offset - centre) / 2] for c in (small, features)], np.float32)


def _losses(logits: Floats, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.logaddexp(0, np.where(labels == 1, -logits, logits).astype(np.float64))


def _by_group(losses: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean loss of each group, so that a part with many images weighs like any other."""
    _, place = np.unique(groups, return_inverse=True)
    return np.asarray(np.bincount(place, losses) / np.bincount(place))
