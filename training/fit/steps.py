"""The pieces of one training step: learning rate, averaged weights, weights of the examples."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.fit.part import Part
from training.fit.recipe import Plan


def rate_at(plan: Plan, done: float) -> float:
    """The learning rate of one cycle: up for the first part of the way, then down a cosine to a hundredth."""
    if not plan.one_cycle:
        return plan.learning_rate
    if done < plan.warm_up:
        return plan.learning_rate * (0.05 + 0.95 * done / plan.warm_up)
    way = min(1.0, (done - plan.warm_up) / (1 - plan.warm_up))
    return plan.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * way)) / 2)


def follow(averaged: nn.Module, net: nn.Module, step: int, horizon: int) -> None:
    """Move the averaged weights towards the network's; the average reaches back `horizon` steps."""
    keep = min(1 - 1 / (horizon + 1), step / (step + 10))
    with torch.no_grad():
        for mean, now in zip(averaged.state_dict().values(), net.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - keep)
            else:
                mean.copy_(now)


def example_weights(part: Part) -> NDArray[np.float64]:
    """Both classes weigh more alike than they are many, and so do parts with many and with few images."""
    group_size = np.bincount(part.groups)[part.groups]
    weight = group_size**-0.5
    for label in (0, 1):
        inside = part.labels == label
        if inside.any():
            weight[inside] *= (inside.sum() ** 0.5) / weight[inside].sum()
    return np.asarray(weight / weight.mean())


def batch_of(pictures: NDArray[np.uint8], chosen: NDArray[np.int64]) -> Tensor:
    """uint8 (N, C, H, W)."""
    return torch.from_numpy(pictures[chosen]).permute(0, 3, 1, 2).contiguous()
