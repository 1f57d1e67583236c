"""The two declared versions of preprocessing: the first keeps its pixels and scores, the second hits sizes exactly."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shared.errors import ArtifactError
from shared.registry.artifact import MANIFEST, NEWEST_PREPROCESSING, Preprocessing, read_artifact
from shared.vision.graph import Graph
from shared.vision.preprocess import decode
from tests.harness.artifacts import write_untrained
from tests.harness.forged import forge

SECOND = Preprocessing(150, 150, 1, version=2)


def textured(width: int, height: int, mode: str = "L") -> Image.Image:
    coarse = np.random.default_rng(7).integers(0, 255, (height // 6 + 2, width // 6 + 2, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def drafted(data: bytes, mode: str, target: tuple[int, int]) -> Image.Image:
    """The image as Pillow decodes it at half, quarter or eighth size."""
    image = Image.open(io.BytesIO(data))
    image.draft(mode, target)
    return image.convert(mode)


def first_version(data: bytes, spec: Preprocessing) -> NDArray[np.uint8]:
    """The rule of version 1, written with Pillow alone."""
    size = (spec.width, spec.height)
    fitted = drafted(data, "L", size).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(fitted)[..., None]


def test_an_artifact_that_names_no_version_keeps_its_scores_to_the_bit(tmp_path: Path) -> None:
    def forget(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        del manifest["preprocessing"]["version"]

    source = write_untrained(tmp_path / "new.gonogo", size=80)
    artifact = read_artifact(forge(source, tmp_path / "old.gonogo", forget))
    assert artifact.preprocessing == Preprocessing(80, 80, 1, version=1)
    files = [
        encoded(textured(*size), quality=q) for size in ((300, 300), (161, 250), (90, 80)) for q in (90, 40)
    ]
    files += [encoded(textured(300, 200), "PNG")]
    graph = Graph(artifact, threads=1)
    now = graph.logits(np.stack([decode(data, artifact.preprocessing) for data in files]))
    then = graph.logits(np.stack([first_version(data, artifact.preprocessing) for data in files]))
    assert now.tobytes() == then.tobytes()
    second = [decode(data, replace(artifact.preprocessing, version=2)) for data in files]
    assert now.tobytes() != graph.logits(np.stack(second)).tobytes()


@pytest.mark.parametrize("version", [0, NEWEST_PREPROCESSING + 1, "2", None])
def test_a_version_that_this_program_does_not_have_is_refused(tmp_path: Path, version: Any) -> None:
    def rename(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        manifest["preprocessing"]["version"] = version

    source = write_untrained(tmp_path / "whole.gonogo", size=32)
    with zipfile.ZipFile(source) as archive:
        assert json.loads(archive.read(MANIFEST))["preprocessing"]["version"] == 1
    with pytest.raises(ArtifactError, match="version"):
        read_artifact(forge(source, tmp_path / "other.gonogo", rename))


@pytest.mark.parametrize("size", [(300, 300), (301, 177), (24, 40)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_size_that_the_decoder_reaches_by_itself_is_not_resized(
    size: tuple[int, int], channels: int
) -> None:
    data, mode = encoded(textured(*size, "RGB")), "L" if channels == 1 else "RGB"
    for shrink in (1, 2, 4, 8):
        target = (-(-size[0] // shrink), -(-size[1] // shrink))
        pixels = decode(data, Preprocessing(*target, channels, version=2))
        half = drafted(data, mode, (size[0] // shrink, size[1] // shrink))
        assert half.size == target
        assert np.array_equal(pixels.squeeze(), np.asarray(half)), shrink


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_other_formats_are_averaged_over_areas(kind: str) -> None:
    image = textured(300, 300)
    pixels = decode(encoded(image, kind), SECOND)[..., 0]
    areas = np.asarray(image, np.float64).reshape(150, 2, 150, 2).mean((1, 3))
    assert np.abs(pixels - areas).max() <= 1


def test_a_smaller_image_is_enlarged_without_steps() -> None:
    ramp = Image.linear_gradient("L").resize((100, 100))
    rows = decode(encoded(ramp, "PNG"), SECOND)[:, 75, 0].astype(int)
    assert np.diff(rows).min() >= 0 and np.diff(rows).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("version", [1, 2])
def test_a_turned_jpeg_has_the_pixels_of_its_upright_form(orientation: int, version: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = textured(320, 160)
    data = encoded(stored, exif=exif)
    moves = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
    aside = orientation >= 5
    spec = Preprocessing(*((80, 160) if aside else (160, 80)), 1, version=version)
    half = drafted(data, "L", (160, 80))
    upright = half.transpose(Image.Transpose(moves[orientation])) if orientation > 1 else half
    assert np.array_equal(decode(data, spec)[..., 0], np.asarray(upright))


def test_the_pixels_are_read_only_and_contiguous_whatever_their_way() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    files = [
        encoded(textured(300, 300)),
        encoded(textured(300, 300), exif=exif),
        encoded(textured(150, 150), "PNG"),
    ]
    for data in files:
        pixels = decode(data, SECOND)
        assert pixels.flags.c_contiguous and not pixels.flags.writeable
        assert pixels.shape == (150, 150, 1)
