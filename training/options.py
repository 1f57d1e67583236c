"""The choices of a person; the recipe makes the others."""

from dataclasses import dataclass, field
from pathlib import Path

from training.proof.operating_point import Costs


@dataclass(frozen=True)
class Options:
    """Choices of the person who trains; the recipe chooses the rest."""

    name: str
    output: Path
    budget_min: float = 30.0
    preset: str = "recipe"  # or "original"
    split: str = "auto"  # auto, grouped, random, given
    seed: int = 0
    device: str = "auto"
    threads: int = 2
    side: int | None = None
    speed: float | None = None  # millions of multiply-adds an image
    mirrors: int | None = None
    full_scale: int | None = None
    costs: Costs = field(default_factory=Costs)
    notice: str = ""
    start: str = "auto"  # or "none", or an artifact's path
    go_on: Path | None = (
        None  # an artifact of the same task: its last layer is kept too, and steps are smaller
    )
    teacher: bool = True  # pretrained features, where they are installed and the budget holds them
    serve: str = "auto"  # small, cascade, features or mean
    images_per_second: float | None = (
        None  # of the graph on one core, which the network that serves must reach
    )
    unlabelled: Path | None = None
