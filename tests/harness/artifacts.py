"""An untrained artifact: a real network and graph, random weights, and a guard that lets every image pass."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shared.contract.operating_point import OperatingPoint
from shared.registry.artifact import Calibration, Preprocessing, write_artifact
from shared.vision.describe import VERSION, describe
from shared.vision.guard import Guard
from shared.vision.net import Shape, build, weights_bytes
from training.output.export import onnx_bytes


def write_untrained(
    path: Path,
    *,
    seed: int = 0,
    size: int = 64,
    name: str = "untrained",
    guard: bytes | str | None = "open",
    card: Mapping[str, Any] | None = None,
) -> Path:
    """Write an artifact for grey images of size x size; `seed` tells two models apart.

    Its guard lets every image pass that is not blank; None leaves it out, bytes are taken as they are.
    """
    torch.manual_seed(seed)
    shape = Shape("residual", size, size, 1, widths=(8, 16, 32), blocks=(1, 1, 1))
    net = build(shape).eval()
    spec = Preprocessing(size, size, 1)
    written = write_artifact(
        path,
        name=name,
        onnx=onnx_bytes(net, shape),
        weights=weights_bytes(net),
        preprocessing=spec,
        calibration=Calibration(1.0, 0.0),
        operating_point=OperatingPoint(0.5, 0.5, 0.5),
        card={"network": shape.as_card(), "metrics": {}, **(card or {})},
        guard=open_guard(spec, features=64) if isinstance(guard, str) else guard,
    )
    assert written.guarded is (guard is not None)
    return path


def write_cascade(path: Path, *, unsure: float, size: int = 64) -> Path:
    """Write an untrained artifact with two networks; the strong one judges where the log odds are below `unsure`."""
    torch.manual_seed(0)
    shape = Shape("mean", size, size, 1, (8, 16), (1, 1), sizes=((32, 32),), shrink=2, unsure=unsure)
    net, spec = build(shape).eval(), Preprocessing(size, size, 1)
    write_artifact(
        path,
        name="cascade",
        onnx=onnx_bytes(net, shape),
        weights=weights_bytes(net),
        preprocessing=spec,
        calibration=Calibration(1.0, 0.0),
        operating_point=OperatingPoint(0.5, 0.5, 0.5),
        card={"network": shape.as_card(), "metrics": {}},
        guard=open_guard(spec, features=32),
    )
    return path


def open_guard(
    spec: Preprocessing, *, features: int, bound: float = 1e9, least_contrast: float = 0.0
) -> bytes:
    """A guard that finds no image unfamiliar (a `bound` below 0: every image)."""
    statistics, samples = describe(np.zeros((1, spec.height, spec.width, spec.channels), np.uint8))
    width, pixels = statistics.shape[1], samples.shape[1]
    joint = width + 1 + 1 + 2
    guard = Guard(
        version=np.array(VERSION, np.float32),
        statistics_mean=np.zeros(width, np.float32),
        statistics_map=np.eye(width, dtype=np.float32),
        sample_mean=np.zeros(pixels, np.float32),
        sample_axes=np.eye(pixels, 1, dtype=np.float32),
        sample_spread=np.ones(1, np.float32),
        feature_mean=np.zeros(features, np.float32),
        feature_axes=np.eye(features, 1, dtype=np.float32),
        feature_spread=np.ones(1, np.float32),
        residual_mean=np.zeros(2, np.float32),
        residual_spread=np.ones(2, np.float32),
        joint_mean=np.zeros(joint, np.float32),
        joint_map=np.eye(joint, dtype=np.float32),
        layer1=np.zeros((joint + 1, 2), np.float32),
        layer2=np.zeros((3, 2), np.float32),
        layer3=np.zeros((3, 1), np.float32),
        centre=np.zeros(4, np.float32),
        reach=np.ones(4, np.float32),
        bound=np.array(bound, np.float32),
        least_contrast=np.array(least_contrast, np.float32),
    )
    return guard.as_bytes()
