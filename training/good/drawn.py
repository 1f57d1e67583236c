"""Teach a small network good images against copies of them with damage that is drawn into them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from shared.registry.artifact import Preprocessing
from training.data.report import Report
from training.fit.part import Part
from training.fit.train import Fitted, fit
from training.network import Network, network_for
from training.options import Options
from training.progress import Say
from training.synthetic.damage import damaged

Images = NDArray[np.uint8]

_COPIES = 4000  # damaged ones, as far as each image has at most _MOST of them
_MOST = 8


def fit_drawn(
    train: Part,
    validation: Part,
    spec: Preprocessing,
    looked: Report,
    options: Options,
    *,
    budget_s: float,
    say: Say,
) -> tuple[Network, Fitted]:
    """A small network for images in the form `spec`, of parts of good images in that form.

    The damage of a validation image is drawn over images of the validation part, so that no place of it was learned.
    """
    rng = np.random.default_rng(options.seed)
    copies = int(np.clip(round(_COPIES / len(train)), 1, _MOST))
    pairs = with_damage(train, copies, rng)
    network = network_for(spec, pairs, looked, options, say)
    fitted = fit(
        network.shape,
        pairs,
        with_damage(validation, 1, rng),
        start=network.start.weights if network.start else None,
        budget_s=budget_s,
        freedom=network.freedom,
        seed=options.seed,
        say=say,
    )
    return network, fitted


def with_damage(good: Part, copies: int, rng: np.random.Generator) -> Part:
    """Each image `copies` times as it is and as often with damage, with masks of it."""
    drawn = [damaged(good.images, rng) for _ in range(copies)]
    count = copies * len(good)
    masks = np.zeros((count, *good.images.shape[1:3], 1), np.uint8)
    return Part(
        np.concatenate([*[good.images] * copies, *[images for images, _ in drawn]]),
        np.repeat([0, 1], count),
        np.tile(good.groups, 2 * copies),
        np.concatenate([masks, *[mask for _, mask in drawn]]),
    )


def good_of(part: Part, shrink: int = 1) -> Part:
    """The good images of a part, at 1/`shrink` of their side."""
    good = part.labels == 0
    return Part(shrunk(part.images[good], shrink), part.labels[good], part.groups[good])


def shrunk(images: Images, shrink: int) -> Images:
    """Images (N, H, W, C) at 1/`shrink` of their side, as the graph that serves shrinks them."""
    if shrink == 1:
        return images
    found = [
        F.avg_pool2d(torch.from_numpy(images[start : start + 64]).permute(0, 3, 1, 2).float(), shrink)
        for start in range(0, len(images), 64)
    ]
    return torch.cat(found).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
