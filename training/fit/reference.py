"""The reference of a model: scores and distances of images that it was not fitted on, from which drift is measured."""

import numpy as np
from numpy.typing import NDArray

from shared.json_text import Card
from shared.registry.artifact import Artifact, Calibration
from shared.vision.arrays import Array
from shared.vision.decision import calibrated_score
from shared.vision.drift import Reference, counted
from shared.vision.graph import Graph
from shared.vision.guard import Guard, read_guard

_CHUNK = 32


def measured(
    graph: Graph, guard: Guard, calibration: Calibration, images: NDArray[np.uint8]
) -> list[tuple[float, float]]:
    """The calibrated score and the unfamiliarity of each of the decoded images (N, H, W, C)."""
    found: list[tuple[float, float]] = []
    for start in range(0, len(images), _CHUNK):
        some = images[start : start + _CHUNK]
        logits, features = graph.logits_and_features(some)
        distances = guard.measure(some, features)[1]
        scores = [calibrated_score(float(logit), calibration) for logit in logits]
        found += zip(scores, distances, strict=True)
    return found


def reference_for(
    graph: Graph,
    artifact: Artifact,
    guard: bytes,
    calibration: Calibration,
    images: NDArray[np.uint8],
    labels: Array,
) -> Card:
    """The member `reference` of a card, from decoded images (N, H, W, C) that no weight was fitted on, and their labels
    (N,), 1 for a defect."""
    fitted = read_guard(guard, artifact.preprocessing)
    all_of_it = measured(graph, fitted, calibration, images)
    good = counted(each for each, label in zip(all_of_it, labels, strict=True) if not label)
    defect = counted(each for each, label in zip(all_of_it, labels, strict=True) if label)
    return Reference(good, defect).as_card()
