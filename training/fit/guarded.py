"""A guard with its self-test and the lines of its card, ready for an artifact."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.registry.artifact import Artifact
from shared.vision.graph import Graph
from training.fit.guard import FLAGGED, fit_guard, flagged_share
from training.output.known_logits import self_test_of


@dataclass(frozen=True)
class Guarded:
    """A guard as an artifact carries it, its self-test, and the lines of the card."""

    guard: bytes
    self_test: bytes
    card: dict[str, Any]


def guard_for(
    graph: Graph,
    artifact: Artifact,
    train: NDArray[np.uint8],
    validation: NDArray[np.uint8],
    test: NDArray[np.uint8],
    *,
    seed: int,
) -> Guarded:
    """Fit the guard on decoded images (N, H, W, C), and count how many of the model's own kind it flags."""

    def features_of(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return graph.logits_and_features(images)[1]

    guard = fit_guard(train, validation, features_of, seed=seed)
    flagged = {
        "wanted_on_validation": FLAGGED,
        "flagged_of_validation": round(flagged_share(guard, validation, features_of), 6),
        "flagged_of_test": round(flagged_share(guard, test, features_of), 6),
    }
    return Guarded(guard.as_bytes(), self_test_of(graph, artifact.preprocessing), flagged)
