"""Where a training starts from: the weights of the shipped model that has seen thousands of made-up parts.

A training on a few hundred images need not learn again how a scratch, a hole or a chip looks. The made-up parts
belong to this project, so the weights carry no other licence and have seen no test image of any set.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import shared
from shared.json_text import Card
from shared.vision.net import Shape, build, load
from training.artifacts import artifact_at
from training.data.records import DataError

PUBLISHED = (
    Path(shared.__file__).parent / "registry" / "published" / "rendered-parts" / "rendered-parts.gonogo"
)


@dataclass(frozen=True)
class Start:
    """A whole state for the new network: all but its last layer from the artifact `name`."""

    name: str
    sha256: str
    weights: dict[str, Tensor]


def starting_weights(wanted: str, shape: Shape) -> Start | None:
    """`wanted` is "auto" (the shipped model where its network fits `shape`, else none), "none" or an artifact's
    path.

    Raises DataError where the artifact that was named holds another network, ArtifactError where it is damaged.
    """
    if wanted == "none" or (wanted == "auto" and not PUBLISHED.exists()):
        return None
    artifact = artifact_at(PUBLISHED if wanted == "auto" else Path(wanted))
    if not _fits(Shape.from_card(artifact.card["network"]), shape):
        if wanted == "auto":
            return None
        raise DataError(
            f"{wanted} holds another network than the one to be trained; --start none does without"
        )
    taught = load(artifact.weights(), artifact.card).state_dict()
    fresh = build(shape).state_dict()
    # The first layer sees each channel twice; grey weights are shared out among colours.
    stem = taught["stem.weight"]
    taught["stem.weight"] = stem.repeat_interleave(shape.channels, 1) / shape.channels
    weights = {name: fresh[name] if name.startswith("head.") else value for name, value in taught.items()}
    return Start(
        artifact.name, artifact.sha256, {name: torch.clone(value) for name, value in weights.items()}
    )


def going_on(path: Path, shape: Shape) -> Start:
    """The whole state of an artifact of the same task. Raises DataError where it holds another network."""
    artifact = artifact_at(path)
    if not _fits(Shape.from_card(artifact.card["network"]), shape):
        raise DataError(f"{path} holds another network than the one to be trained")
    taught = load(artifact.weights(), artifact.card).state_dict()
    taught["head.bias"] += centre_of(artifact.card)
    return Start(artifact.name, artifact.sha256, {name: value.clone() for name, value in taught.items()})


def centre_of(card: Card) -> float:
    """By how much the logits of an artifact lie below those of its training: `hasten` puts their boundary at 0."""
    return float((card.get("scored_again") or {}).get("centre", 0.0))


def _fits(taught: Shape, wanted: Shape) -> bool:
    """Sizes may differ, since nothing but the last layer's pooling meets the whole image."""
    same = ("kind", "widths", "blocks", "stem_stride")
    return taught.channels == 1 and all(getattr(taught, name) == getattr(wanted, name) for name in same)
