"""The shipped artifact that averages mirrored copies, with drawn images for the parts that it was measured on."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import shared
from shared.contract.operating_point import OperatingPoint
from shared.json_text import Card
from shared.registry.artifact import Artifact, Promise, read_artifact
from training.data.records import Record
from training.guarding import rewritten

SOLAR = Path(shared.__file__).parent / "registry" / "published" / "solar-modules" / "solar-modules.gonogo"


def with_card(
    folder: Path, *, promise: Promise | None = None, point: OperatingPoint | None = None, **lines: Any
) -> Artifact:
    """The artifact with other lines in its card, a promise or another operating point."""
    artifact = read_artifact(SOLAR)
    card = artifact.card | lines
    point = point or artifact.operating_point
    return rewritten(artifact, folder / "before", card, promise=promise, operating_point=point)


def withholding(prevalence: float | None) -> Card:
    """The lines of a card whose scores are meant for a stated share of defects, and whose parts are unknown."""
    withheld = dict.fromkeys(("accuracy_by_groups", "ece", "ece_low", "ece_high", "log_loss"))
    card = read_artifact(SOLAR).card
    figures: Card = {name: card[name] | withheld for name in ("validation", "test")}
    unstated = {"prevalence": prevalence, "before_calibration": {"ece": None, "log_loss": None}}
    return figures if prevalence is None else figures | unstated


def drawn_parts(folder: Path, count: int = 90) -> tuple[list[Record], list[Record], list[Record]]:
    """Training, validation and test part; a third of each is defective."""
    rng, parts = np.random.default_rng(0), []
    folder.mkdir()
    for name in ("train", "validation", "test"):
        part = []
        for place in range(count):
            path, label = folder / f"{name}-{place}.png", int(place % 3 == 0)
            pixels = rng.normal(rng.integers(60, 180), rng.integers(3, 40), (40, 24))
            pixels[: 20 + 20 * label] += rng.integers(-60, 60)
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
            part.append(Record(path, label, path.name, kind="crack" if label else ""))
        parts.append(part)
    return parts[0], parts[1], parts[2]
