"""How soon drift is noticed on changed images of rendered parts, and how often it is called where there is none."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from shared.registry.artifact import Artifact, read_artifact
from shared.registry.versions import shipped
from shared.vision.drift import Reference, compare, counted, read_reference
from shared.vision.graph import Graph
from shared.vision.guard import read_guard
from shared.vision.preprocess import decode
from training.data.load import load
from training.fit.reference import measured
from training.proof.guard_images import CHANGES
from training.proof.guard_table import as_png, opened
from training.synthetic.render import render

_SEED = 29  # of parts that no shipped model was trained or tested on
WINDOWS = (50, 100, 200, 500)
_DRAWS = 1000
_SHARES = (0.5, 0.05)  # of defects in a window
SHIFTS = (
    "light x 0.7",
    "light x 0.5",
    "light x 1.3",
    "light x 1.6",
    "blur, radius 1",
    "blur, radius 2",
    "noise of 5 levels more",
    "noise of 10 levels more",
)
Measured = Sequence[tuple[float, float]]


def play(count: int, say: Callable[[str], None] = print) -> None:
    """Print a table: the share of windows that are called drift, by kind of images and size of the window.

    Windows are drawn from `count` images, half of them defective, so `count` should be several times a window.
    """
    artifact = read_artifact(next(path for path in shipped() if path.stem == "rendered-parts"))
    reference = read_reference(artifact.card)
    if reference is None:
        raise ValueError(f"{artifact.name} has no reference")
    with tempfile.TemporaryDirectory() as folder:
        render(Path(folder), count=count, seed=_SEED)
        records = load(Path(folder))
        files = [record.path for record in records]
        labels = np.array([record.label for record in records], bool)
        say(f"drift: {count} rendered images, {_DRAWS} windows of each size")
        say("| images | defects | " + " | ".join(f"{size} images" for size in WINDOWS) + " |")
        say("|---" * (2 + len(WINDOWS)) + "|")
        for name in ("as they are", *SHIFTS):
            seen = _measured(artifact, files, name)
            for share in _SHARES:
                cells = " | ".join(f"{_called(seen, labels, share, size, reference):.1%}" for size in WINDOWS)
                say(f"| {name} | {share:.0%} | {cells} |".replace("%", " %"))


def _measured(artifact: Artifact, files: Sequence[Path], change: str) -> Measured:
    """Scores and unfamiliarities of the images after a change of `CHANGES`, or as they are."""
    stored = artifact.guard()
    assert stored is not None
    guard, graph, rng = read_guard(stored, artifact.preprocessing), Graph(artifact, threads=1), _rng()
    found: list[tuple[float, float]] = []
    for start in range(0, len(files), 256):
        data = [path.read_bytes() for path in files[start : start + 256]]
        if change in CHANGES:
            data = [as_png(CHANGES[change](opened(path), rng)) for path in files[start : start + 256]]
        images = np.stack([decode(each, artifact.preprocessing) for each in data])
        found += measured(graph, guard, artifact.calibration, images)
    return found


def _called(seen: Measured, labels: np.ndarray, share: float, size: int, reference: Reference) -> float:
    """The share of windows that are called drift, each of `size` images drawn without repetition."""
    rng, good, defect = _rng(), np.flatnonzero(~labels), np.flatnonzero(labels)
    called = 0
    for _ in range(_DRAWS):
        defects = int(rng.binomial(size, share))
        places = [
            *rng.choice(good, size - defects, replace=False),
            *rng.choice(defect, defects, replace=False),
        ]
        called += compare(counted(seen[place] for place in places), reference).drifted
    return called / _DRAWS


def _rng() -> np.random.Generator:
    return np.random.default_rng(11)
