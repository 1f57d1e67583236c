"""The lines of a card that say where its figures hold and where to doubt them."""

import numpy as np
from numpy.typing import NDArray

from shared.contract.operating_point import OperatingPoint
from shared.json_text import Card
from shared.registry.artifact import Calibration
from shared.vision.graph import Graph
from training.proof.calibrate import scores
from training.proof.doubts import likely_label_errors, risk_coverage, shortcuts
from training.proof.evaluate import logits_of
from training.proof.robustness import CHANGES, MOST, robustness
from training.trained import Trained

_SECONDS = 20.0  # for all changes of the test part together
_LEAST = 40


def findings(
    trained: Trained,
    graph: Graph,
    calibration: Calibration,
    point: OperatingPoint,
    p: tuple[NDArray[np.float64], NDArray[np.float64]],
    card: Card,
) -> Card:
    """`p` are the scores of the validation and of the test part; `card` holds the figures that are known so far."""
    crossed = trained.held_out is not None
    judged = [(trained.split.test, trained.test.labels, p[1])]
    if not crossed:
        judged.append((trained.split.validation, trained.validation.labels, p[0]))
    names = [record.path.name for records, _, _ in judged for record in records]
    labels = np.concatenate([labels for _, labels, _ in judged])
    held = np.concatenate([values for _, _, values in judged])
    affordable = int(_SECONDS * card["speed"]["images_per_second"] / len(CHANGES))
    return {
        # The served model of a cross-fitted training has learned every image, so changed ones would prove nothing.
        "robustness": None
        if crossed
        else robustness(
            trained.test.images,
            trained.test.labels,
            lambda images: scores(logits_of(graph, images), calibration),
            point,
            most=min(MOST, max(_LEAST, affordable)),
        ),
        "risk_coverage": risk_coverage(p[1], trained.test.labels, point),
        "label_doubts": likely_label_errors(names, held, labels),
        "warnings": shortcuts(card["baselines"], card["test"]["accuracy"]["value"]),
    }
