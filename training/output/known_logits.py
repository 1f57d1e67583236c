"""The images of an artifact's self-test: made up, so that no image of a set travels with its model."""

import numpy as np

from shared.registry.artifact import Preprocessing
from shared.vision.graph import Graph
from shared.vision.known_logits import self_test_bytes

IMAGES = 4


def self_test_of(graph: Graph, spec: Preprocessing) -> bytes:
    """Four images from coarse to fine noise, and the logits that the graph gives for them."""
    rng = np.random.default_rng(0)
    images = np.empty((IMAGES, spec.height, spec.width, spec.channels), np.uint8)
    for place, image in enumerate(images):
        cell = max(1, max(image.shape) // 4 // 2**place)
        rows, columns = -(-spec.height // cell), -(-spec.width // cell)
        coarse = rng.integers(0, 256, (rows, columns, spec.channels)).astype(np.uint8)
        image[...] = coarse.repeat(cell, 0).repeat(cell, 1)[: spec.height, : spec.width]
    return self_test_bytes(images, graph.logits(images))
