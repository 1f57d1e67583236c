"""The network that an artifact serves, and the parts of the split in the form that it takes."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from shared.json_text import Card
from shared.registry.artifact import Preprocessing
from shared.vision.net import MeanNet, Shape
from training.data.decoded import decoded
from training.data.records import Record
from training.data.splits import Split
from training.fit.choice import CASCADE, FEATURES, SMALL, choose_served
from training.fit.part import Part
from training.fit.train import predict
from training.options import Options
from training.proof.operating_point import boundary
from training.proof.speed import pace_of
from training.teacher.features import shrink_for
from training.teacher.places import WIDTH
from training.teacher.teach import Taught, feature_net

# Images at the features' size take four times the memory: so many are enough for the guard.
MOST_TRAINING_IMAGES = 3000


@dataclass(frozen=True)
class Served:
    """`train` holds the images of `sampled` alone, where that is given: a sample of the training part. `choice` is the
    line of the card, None without a teacher."""

    net: nn.Module
    shape: Shape
    spec: Preprocessing
    train: Part
    validation: Part
    test: Part
    choice: Card | None
    sampled: list[Record] | None = None


def served(small: Served, taught: Taught, split: Split, options: Options) -> Served:
    """Choose among the small network, the teacher's features, their mean and a cascade, on the validation part."""
    logits = {SMALL: predict(small.net, small.validation.images), FEATURES: taught.validation}
    pace = pace_of(
        small.net, small.shape, small.validation.images, taught.extractor, options.images_per_second
    )
    centre = boundary(options.costs, small.validation.labels)
    choice = choose_served(logits, small.validation, options.serve, pace, centre=centre)
    if choice.kind == SMALL:
        return Served(
            small.net, small.shape, small.spec, small.train, small.validation, small.test, choice.card
        )
    strong, sizes = taught.extractor.strong, taught.extractor.sizes
    net: nn.Module = feature_net(taught.extractor, taught.model)
    places = WIDTH if taught.model.head else 0
    shape = Shape("features", strong.height, strong.width, strong.channels, sizes=sizes, places=places)
    if choice.kind != FEATURES:
        shape = mean_shape(small.shape, small.spec, strong, sizes, places)
        shape = replace(shape, unsure=choice.unsure) if choice.kind == CASCADE else shape
        net = mean_net(shape, small.net, net, torch.from_numpy(choice.scales))
    sampled = split.train[:: -(-len(split.train) // MOST_TRAINING_IMAGES)]
    train, validation, test = (
        decoded(records, strong, threads=options.threads)
        for records in (sampled, split.validation, split.test)
    )
    return Served(net.eval(), shape, strong, train, validation, test, choice.card, sampled)


def mean_shape(
    small: Shape,
    spec: Preprocessing,
    strong: Preprocessing,
    sizes: tuple[tuple[int, int], ...],
    places: int,
) -> Shape:
    """The plan of the mean of a small network for `spec` and of features at `sizes`, with a head over `places`."""
    return Shape(
        "mean",
        strong.height,
        strong.width,
        strong.channels,
        small.widths,
        small.blocks,
        small.stem_stride,
        small.mirrors,
        small.dropout,
        sizes,
        shrink_for(spec),
        places,
    )


def mean_net(shape: Shape, small: nn.Module, features: nn.Module, scales: torch.Tensor) -> MeanNet:
    """The mean of two trained networks."""
    net = MeanNet(shape)
    net.small.load_state_dict(small.state_dict())
    net.features.load_state_dict(features.state_dict())
    net.scales.copy_(scales)
    return net
