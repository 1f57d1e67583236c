"""A guard with its self-test and the lines of its card, ready for an artifact."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.json_text import Card
from shared.registry.artifact import Artifact
from shared.vision.describe import VERSION
from shared.vision.graph import Graph
from training.fit.guard import FLAGGED, TRACED, features_in, fit_guard, flagged_share
from training.output.known_logits import self_test_of

_CHUNK = 32
# Own images that a guard learns from, and strangers where the network is slow: pretrained features take a hundred times
# as long as others.
_MANY, _FEW, _LEAST = 16_000, 1000, 200


@dataclass(frozen=True)
class Guarded:
    """A guard as an artifact carries it, its self-test, and the lines of the card."""

    guard: bytes
    self_test: bytes
    card: Card


def guard_for(
    graph: Graph,
    artifact: Artifact,
    train: NDArray[np.uint8],
    validation: NDArray[np.uint8],
    test: NDArray[np.uint8],
    *,
    seed: int,
    slow: bool = False,
) -> Guarded:
    """Fit the guard on decoded images (N, H, W, C), and count how many of the model's own kind it flags.

    A `slow` network looks at fewer images.
    """

    def features_of(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        # In small chunks: a large network's activations of hundreds of images take gigabytes.
        parts = [
            graph.logits_and_features(images[start : start + _CHUNK])[1]
            for start in range(0, len(images), _CHUNK)
        ]
        return np.concatenate(parts)

    most = min(_FEW, max(_LEAST, 5 * len(train))) if slow else _MANY
    version = TRACED if artifact.card.get("network", {}).get("trace") else VERSION
    some = train[:: -(-len(train) // most)]
    held = features_in(validation, features_of)
    guard = fit_guard(
        some,
        validation,
        features_of,
        version=version,
        seed=seed,
        most_strangers=most if slow else None,
        held=held,
    )
    flagged = {
        "wanted_on_validation": FLAGGED,
        "flagged_of_validation": round(flagged_share(guard, validation, held), 6),
        "held": len(validation),
        # Where the bounds were set, they tell nothing of fresh images.
        "flagged_of_test": None
        if test is validation
        else round(flagged_share(guard, test, features_in(test, features_of)), 6),
    }
    return Guarded(guard.as_bytes(), self_test_of(graph, artifact.preprocessing), flagged)
