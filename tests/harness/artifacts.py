"""An untrained artifact: real network, real graph, random weights."""

from pathlib import Path

import torch

from shared.contract.operating_point import OperatingPoint
from shared.registry.artifact import Calibration, Preprocessing, write_artifact
from shared.vision.net import Shape, build, weights_bytes
from training.output.export import onnx_bytes


def write_untrained(path: Path, *, seed: int = 0, size: int = 64, name: str = "untrained") -> Path:
    """Write an artifact for grey images of size x size; `seed` tells two models apart."""
    torch.manual_seed(seed)
    shape = Shape("residual", size, size, 1, widths=(8, 16, 32), blocks=(1, 1, 1))
    net = build(shape).eval()
    write_artifact(
        path,
        name=name,
        onnx=onnx_bytes(net, shape),
        weights=weights_bytes(net),
        preprocessing=Preprocessing(size, size, 1),
        calibration=Calibration(1.0, 0.0),
        operating_point=OperatingPoint(0.5, 0.5, 0.5),
        card={"network": shape.as_card(), "metrics": {}},
    )
    return path
