"""The damage table of docs/images.md: `make damage`, or `python -m tests.damage`.

Renders 60 parts, harms each file in each way, and lets the shipped model judge every file that still decodes.
"""

import random
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from shared.contract.states import Verdict
from shared.errors import ItemError
from shared.registry.artifact import Artifact, read_artifact
from shared.vision.decision import calibrated_score, decide
from shared.vision.graph import Graph
from shared.vision.preprocess import decode
from tests.damage.harm import FORMATS, HARMS, encoded
from training.synthetic.draw import draw

MODEL = Path(__file__).parents[2] / "shared/registry/published/rendered-parts/rendered-parts.gonogo"
PARTS = 60
SEED = 2026


@dataclass(frozen=True)
class Cell:
    """`escaped` counts true defects with the verdict `no_defect`. `files` is 0 where the harm does not apply."""

    files: int
    judged: int
    escaped: int

    def __str__(self) -> str:
        if self.files == 0:
            return "–"
        return f"{self.judged} ({self.escaped})" if self.judged else "0"


def parts(count: int = PARTS) -> list[tuple[Image.Image, bool]]:
    """Rendered parts, every second one defective."""
    return [
        (
            Image.fromarray(draw(np.random.default_rng([SEED, place]), defect=place % 2 == 0).image),
            place % 2 == 0,
        )
        for place in range(count)
    ]


def judge(files: Iterable[tuple[bytes, bool]], artifact: Artifact, graph: Graph) -> Cell:
    """Decode and judge each file; the flag says whether the part is defective."""
    count, images, defective = 0, [], []
    for data, flawed in files:
        count += 1
        try:
            images.append(decode(data, artifact.preprocessing))
        except ItemError:
            continue
        defective.append(flawed)
    if not images:
        return Cell(count, 0, 0)
    scores = [
        calibrated_score(float(logit), artifact.calibration) for logit in graph.logits(np.stack(images))
    ]
    verdicts = [decide(score, artifact.operating_point) for score in scores]
    escaped = sum(f and v is Verdict.NO_DEFECT for f, v in zip(defective, verdicts, strict=True))
    return Cell(count, len(images), escaped)


def table(count: int = PARTS) -> dict[str, dict[str, Cell]]:
    """A row for each format; the column `sound` holds the files as they were written."""
    artifact = read_artifact(MODEL)
    graph = Graph(artifact, threads=1)
    drawn, rows = parts(count), {}
    for name in FORMATS:
        sound = [(encoded(image, name), flawed) for image, flawed in drawn]
        rows[name] = {"sound": judge(sound, artifact, graph)}
        for kind, harm in HARMS.items():
            chance = random.Random(SEED)
            harmed = [(harm(data, chance), flawed) for data, flawed in sound]
            applicable = [(data, flawed) for data, flawed in harmed if data is not None]
            rows[name][kind] = judge(applicable, artifact, graph)
    return rows


def main() -> int:
    rows = table()
    columns = ["sound", *HARMS]
    print("| format | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(str(cells[column]) for column in columns) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
