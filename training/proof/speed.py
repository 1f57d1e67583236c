"""The speed of a network on one core, in CPU time, so that other programs take nothing from it."""

import time
from collections.abc import Callable

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from torch import nn

from shared.registry.artifact import Artifact
from shared.vision.graph import INPUT, Graph
from shared.vision.net import Shape
from training.fit.choice import Pace
from training.output.export import onnx_bytes
from training.teacher.features import Extractor

Images = NDArray[np.uint8]
_BATCH, _PIECE = 32, 8
_MOST_BATCHES = 8


def speed_of(artifact: Artifact, images: Images) -> float:
    """Images a CPU second of the graph alone on one thread, the best of five micro-batches of 32.

    Batches hold more and fewer images of which a network is unsure, so that different ones are timed where it scores
    these again, and the mean counts.
    """
    graph = Graph(artifact, threads=1)
    network = artifact.card.get("network", {})
    if not network.get("unsure", 0):
        return _BATCH / _best(graph.logits, np.resize(images, (_BATCH, *images.shape[1:])))
    batches = [images[at : at + _BATCH] for at in range(0, min(len(images), _MOST_BATCHES * _BATCH), _BATCH)]
    graph.logits(batches[0])
    started = time.process_time()
    for batch in batches:
        graph.logits(batch)
    return sum(map(len, batches)) / (time.process_time() - started)


def pace_of(
    small: nn.Module, shape: Shape, images: Images, extractor: Extractor, asked: float | None
) -> Pace:
    """The speed of a small network and of pretrained features; `images` are in the small network's form."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        onnx_bytes(small, shape), options, providers=["CPUExecutionProvider"]
    )

    def run(batch: Images) -> None:
        for start in range(0, _BATCH, _PIECE):
            session.run(["logit"], {INPUT: batch[start : start + _PIECE]})

    batch = np.resize(images, (_BATCH, *images.shape[1:]))
    return Pace(_best(run, batch) / _BATCH, extractor.seconds_an_image(), asked)


def _best(run: Callable[[Images], object], batch: Images) -> float:
    best = float("inf")
    for _ in range(6):
        started = time.process_time()
        run(batch)
        best = min(best, time.process_time() - started)
    return best
