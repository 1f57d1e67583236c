"""`python -m training quality --heatmaps`: does the hottest place of a heatmap lie on the flaw?

The pointing game of Zhang et al., "Top-down Neural Attention by Excitation Backprop" (2016): a hit is a hottest place
at most 15 pixels from the flaw, in an image of 300 pixels. Chance is the share of places that would be a hit.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.registry.artifact import Artifact, read_artifact
from shared.registry.versions import shipped
from shared.vision.graph import Graph
from shared.vision.occlusion import heat
from shared.vision.preprocess import decode
from training.proof.metrics import wilson
from training.synthetic.render import render

_NEAR = 15 / 300  # of an image's side
_SIDE, _SEED = 300, 20_261_129


class Pointing(NamedTuple):
    """Flaws looked for, those that were hit, and the share that chance would hit."""

    flaws: int
    hits: int
    chance: float

    @property
    def share(self) -> float:
        return self.hits / self.flaws


def play(artifact: Artifact, flaws: int, say: Callable[[str], object] = print) -> Pointing:
    """Point at `flaws` flaws of parts that are rendered here, whatever their verdict, and print the share of hits."""
    graph, hits, chances = Graph(artifact, threads=1), 0, []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "parts"
        render(folder, count=flaws, seed=_SEED, size=_SIDE, defect_share=1.0, masks=True)
        for path in sorted(folder.glob("defect/*.jpg")):
            mask = np.asarray(Image.open(folder / "masks" / f"{path.stem}.png").convert("L")) > 127
            falls = heat(graph.logits, decode(path.read_bytes(), artifact.preprocessing))
            near = within(mask, _NEAR * _SIDE)
            hits += near[hottest(falls, mask.shape)]
            chances.append(near.mean())
    found = Pointing(len(chances), int(hits), float(np.mean(chances)))
    share = wilson(found.hits, found.flaws)
    say(
        f"pointing game of {artifact.name}: {found.hits} of {found.flaws} flaws, {share}; "
        f"chance {found.chance:.1%}, {found.share / found.chance:.1f} times"
    )
    return found


def rendered_parts() -> Artifact:
    """The shipped model of rendered parts."""
    return next(each for each in map(read_artifact, shipped()) if each.name == "rendered-parts")


def hottest(falls: NDArray[np.float32], shape: tuple[int, ...]) -> tuple[int, int]:
    """The row and column, in an image of `shape`, of the middle of the hottest place."""
    rows, columns = np.nonzero(falls >= falls.max() - 1e-6)
    row = (rows.mean() + 0.5) / falls.shape[0] * shape[0]
    column = (columns.mean() + 0.5) / falls.shape[1] * shape[1]
    return min(int(row), shape[0] - 1), min(int(column), shape[1] - 1)


def within(mask: NDArray[np.bool_], distance: float) -> NDArray[np.bool_]:
    """The places at most `distance` pixels from a place of the mask."""
    rows, columns = np.nonzero(mask)
    all_rows, all_columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    near = np.zeros(mask.shape, bool)
    for row, column in zip(rows, columns, strict=True):
        reach = int(distance)
        top, left = max(0, row - reach), max(0, column - reach)
        here = np.s_[top : row + reach + 1, left : column + reach + 1]
        near[here] |= (all_rows[top : row + reach + 1] - row) ** 2 + (
            all_columns[:, left : column + reach + 1] - column
        ) ** 2 <= distance**2
    return near
