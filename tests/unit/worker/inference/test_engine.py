import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from shared.contract.operating_point import OperatingPoint
from shared.errors import ArtifactError
from shared.registry.artifact import Artifact, Calibration, Preprocessing, write_artifact
from shared.vision.net import Shape, build, weights_bytes
from training.output.export import onnx_bytes
from worker.inference.engines.cpu import OnnxEngine
from worker.inference.engines.gpu import TorchEngine
from worker.inference.engines.load import load_engine

SHAPES = [
    Shape("residual", 40, 24, 1, (16, 32), (1, 1), stem_stride=1, mirrors=4),
    Shape("residual", 37, 45, 3, (16, 16, 32), (0, 1, 1)),
    Shape("original", 32, 32, 3),
]


def artifact_of(shape: Shape, folder: Path) -> Artifact:
    torch.manual_seed(1)
    net = build(shape)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # as after training: nothing at its neutral value
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
            assert module.running_mean is not None and module.running_var is not None
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return write_artifact(
        folder / "net.gonogo",
        name="net",
        onnx=onnx_bytes(net, shape),
        weights=weights_bytes(net),
        preprocessing=Preprocessing(shape.width, shape.height, shape.channels),
        calibration=Calibration(1.0, 0.0),
        operating_point=OperatingPoint(0.5, 0.5, 0.5),
        card={"network": shape.as_card()},
    )


def images_of(shape: Shape, count: int = 33) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 200, (count, 1, 1, 1)) + rng.integers(0, 56, (count, *sides(shape)))
    return levels.astype(np.uint8)


def sides(shape: Shape) -> tuple[int, int, int]:
    return shape.height, shape.width, shape.channels


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.kind}-{shape.height}")
def test_both_engines_give_the_same_logits_features_and_maps(shape: Shape, tmp_path: Path) -> None:
    artifact, images = artifact_of(shape, tmp_path), images_of(shape)
    for a, b in zip(
        OnnxEngine(artifact, threads=1).explain(images),
        TorchEngine(artifact, device="cpu", threads=1).explain(images),
        strict=True,
    ):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.kind}-{shape.height}")
def test_a_image_scores_the_same_in_any_micro_batch(shape: Shape, tmp_path: Path) -> None:
    engine, images = load_engine(artifact_of(shape, tmp_path), device="cpu", threads=1), images_of(shape)
    whole = engine.predict(images)
    assert whole.dtype == np.float32
    assert whole.shape == (33,)
    parts = np.concatenate(
        [engine.predict(images[:1]), engine.predict(images[1:8]), engine.predict(images[8:])]
    )
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_four_mirrors_make_the_score_blind_to_mirroring(tmp_path: Path) -> None:
    engine, images = load_engine(artifact_of(SHAPES[0], tmp_path), device="cpu"), images_of(SHAPES[0])
    flipped = np.ascontiguousarray(images[:, ::-1, ::-1])
    np.testing.assert_allclose(engine.predict(images), engine.predict(flipped), atol=1e-5)


def test_read_only_images_are_accepted(tmp_path: Path) -> None:
    artifact, images = artifact_of(SHAPES[1], tmp_path), images_of(SHAPES[1], 2)
    images.flags.writeable = False
    OnnxEngine(artifact, threads=1).predict(images)
    TorchEngine(artifact, device="cpu").predict(images)


def test_a_graph_that_does_not_take_the_declared_size_is_refused(tmp_path: Path) -> None:
    good = artifact_of(SHAPES[1], tmp_path)
    odd = write_artifact(
        tmp_path / "odd.gonogo",
        name="odd",
        onnx=good.onnx(),
        weights=good.weights(),
        preprocessing=Preprocessing(46, 37, 3),
        calibration=good.calibration,
        operating_point=good.operating_point,
        card=good.card,
    )
    with pytest.raises(ArtifactError, match="takes"):
        load_engine(odd, device="cpu")


@pytest.mark.parametrize("member", ["onnx", "weights"])
def test_bytes_that_are_no_model_are_an_artifact_error(member: str, tmp_path: Path) -> None:
    good = artifact_of(SHAPES[1], tmp_path)
    members = {"onnx": good.onnx(), "weights": good.weights(), member: b"nonsense"}
    odd = write_artifact(
        tmp_path / "odd.gonogo",
        name="odd",
        onnx=members["onnx"],
        weights=members["weights"],
        preprocessing=good.preprocessing,
        calibration=good.calibration,
        operating_point=good.operating_point,
        card=good.card,
    )
    with pytest.raises(ArtifactError):
        OnnxEngine(odd, threads=1) if member == "onnx" else TorchEngine(odd, device="cpu")


def test_the_cpu_engine_never_imports_torch(tmp_path: Path) -> None:
    artifact = artifact_of(SHAPES[1], tmp_path)
    code = (
        "import sys; from pathlib import Path; from shared.registry.artifact import read_artifact\n"
        "from worker.inference.engines.load import load_engine\n"
        f"engine = load_engine(read_artifact(Path({str(artifact.path)!r})), device='cpu')\n"
        "print(engine.name, engine.device, engine.threads, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["onnxruntime", "cpu", "1", "False"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_without_a_gpu_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no usable GPU"):
        load_engine(artifact_of(SHAPES[1], tmp_path), device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize(("reduced", "tolerance"), [(False, 1e-4), (True, 2e-2)])
def test_the_gpu_agrees_with_the_cpu(reduced: bool, tolerance: float, tmp_path: Path) -> None:
    artifact, images = artifact_of(SHAPES[0], tmp_path), images_of(SHAPES[0])
    gpu = TorchEngine(artifact, device="cuda", reduced=reduced).predict(images)
    np.testing.assert_allclose(gpu, OnnxEngine(artifact, threads=1).predict(images), atol=tolerance)
