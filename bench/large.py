"""A 12-megapixel JPEG decoded at reduced scale against in full; and what that does to verdicts."""

import contextlib
import io
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from bench.table import Row
from shared.registry.artifact import Artifact
from shared.vision.decision import calibrated_score
from shared.vision.preprocess import decode
from worker.inference.engines.load import load_engine

_WIDTH, _HEIGHT = 4000, 3000


@contextlib.contextmanager
def _in_full() -> Iterator[None]:
    """JPEG's reduced-scale decoding switched off, everything else the same."""
    draft = JpegImageFile.draft
    JpegImageFile.draft = lambda *_: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        JpegImageFile.draft = draft  # type: ignore[method-assign]


def _images() -> dict[str, bytes]:
    """In colour, as a camera of 12 megapixels takes them, whatever the model then looks at."""
    rng = np.random.default_rng(3)
    small = rng.integers(40, 215, (30, 40, 3), dtype=np.uint8)
    smooth = Image.fromarray(small).resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)
    noise = rng.normal(0, 12, (_HEIGHT, _WIDTH, 1))
    noisy = Image.fromarray(np.clip(np.asarray(smooth) + noise, 0, 255).astype(np.uint8))
    made = {}
    for name, image in (("noisy", noisy), ("smooth", smooth)):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=90)
        made[name] = buffer.getvalue()
    return made


def measure(artifact: Artifact, labelled: list[Path], *, repeats: int = 7) -> list[Row]:
    """Speed on 12 megapixels; accuracy on 512-pixel parts, where reduced scale is also used."""
    rows = []
    for name, data in _images().items():
        scaled, full = [], []
        for _ in range(repeats):
            scaled.append(_seconds(data, artifact))
            with _in_full():
                full.append(_seconds(data, artifact))
        fast, slow = float(np.median(scaled)), float(np.median(full))
        rows.append(
            Row(
                f"12-megapixel JPEG, {name}: scaled decode against full", 1000 * fast, "ms", ratio=slow / fast,
                reach=1.8 if name == "noisy" else 5.0, note=f"full {1000 * slow:.0f} ms, {len(data) / 1e6:.1f} MB",
            )
        )  # fmt: skip
    return [*rows, *_accuracy(artifact, labelled)]


def _seconds(data: bytes, artifact: Artifact) -> float:
    started = time.perf_counter()
    decode(data, artifact.preprocessing)
    return time.perf_counter() - started


def _accuracy(artifact: Artifact, labelled: list[Path]) -> list[Row]:
    """Points of accuracy between both decodes; every image whose verdict changes is named."""
    if not artifact.card.get("metrics"):
        return []  # an untrained model has no accuracy to lose
    sources = [path.read_bytes() for path in labelled]
    labels = np.array([path.parent.name == "defect" for path in labelled])
    scaled = _defects(artifact, sources)
    with _in_full():
        full = _defects(artifact, sources)
    flips = [labelled[place].name for place in np.flatnonzero(scaled != full)]
    points = 100 * float(np.mean(scaled == labels) - np.mean(full == labels))
    note = f"{np.mean(full == labels):.2%} in full over {len(labels)}; flipped: {', '.join(flips) or 'none'}"
    return [
        Row("scaled decode: points of accuracy lost", -points, "points", reach=0.2, at_most=True, note=note)
    ]


def _defects(artifact: Artifact, sources: list[bytes]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    engine = load_engine(artifact, threads=1)
    scores = []
    for first in range(0, len(sources), 32):
        images = np.stack([decode(data, artifact.preprocessing) for data in sources[first : first + 32]])
        scores += [calibrated_score(float(logit), artifact.calibration) for logit in engine.predict(images)]
    return np.array(scores) >= artifact.operating_point.threshold
