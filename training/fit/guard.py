"""Fit the guard of a model: on its training part, with made-up strangers as the other side, bounds on validation."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from shared.vision.describe import CONTRAST, VERSION
from shared.vision.guard import DESCRIPTIONS, Guard, guard_of, squeezed
from training.synthetic.strangers import KINDS, strangers

Floats = NDArray[np.float32]
FeaturesOf = Callable[[NDArray[np.uint8]], Floats]

FLAGGED = 0.01  # of the model's own kind, all distances together
TRACED = 4  # the description for networks whose feature holds a trace
_CHUNK = 256
_BATCH = 128
# A kind of stranger that lies within the plain distances this often may be what the set shows: it is left out.
_ALIKE = 0.9
_SLACK = 6.0
_SMALL_PART = 300  # validation images: with fewer, the empirical 99th percentile means little


@dataclass(frozen=True)
class _Plan:
    """Main directions of the layout and of the feature, the stranger network's hidden neurons and epochs, and the most
    strangers that it learns from."""

    layout: int
    feature: int
    hidden: int
    epochs: int
    strangers: int


# Small images, and only those have a trace, let more strangers be drawn in the same time.
_PLANS = {VERSION: _Plan(120, 48, 64, 15, 16_000), TRACED: _Plan(64, 96, 96, 40, 30_000)}


def fit_guard(
    train: NDArray[np.uint8],
    validation: NDArray[np.uint8],
    features_of: FeaturesOf,
    *,
    version: int = TRACED,
    seed: int = 0,
    most_strangers: int | None = None,
    held: Floats | None = None,
) -> Guard:
    """Images (N, H, W, C) of both parts; `features_of` gives the network's features (N, F) of images.

    `version` is the description of the pixels: TRACED where the feature holds a trace. `most_strangers` bounds the
    time that a slow network takes. `held` are the features of the validation part, where they are known already.
    """
    plan, describe = _PLANS[version], DESCRIPTIONS[version]
    # Once for each part: pretrained features take a minute for a thousand images.
    seen = features_in(train, features_of)
    seen_held = features_in(validation, features_of) if held is None else held
    statistics, samples = _described(version, train)
    guard = _with_axes(version, statistics, samples, squeezed(seen))
    own = _coordinates(guard, train, seen)
    placed = _coordinates(guard, validation, seen_held)
    guard = _rounded(replace(guard, joint_mean=own.mean(0), joint_map=_whitening(own, 0.1)))
    guard = _with_bound(guard, placed)
    others, kinds = _strangers(
        guard, train, features_of, seed, min(most_strangers or plan.strangers, plan.strangers)
    )
    told_apart = [kind for kind in KINDS if _flagged(guard, others[kinds == kind]) > 1 - _ALIKE]
    layers = _stranger_network(own, others[np.isin(kinds, told_apart)], plan, seed)
    guard = _rounded(replace(guard, layer1=layers[0], layer2=layers[1], layer3=layers[2]))
    contrasts = [np.expm1(describe(part)[0][:, CONTRAST]).min() for part in (train, validation)]
    return _with_bound(replace(guard, least_contrast=np.asarray(min(contrasts) / 2, np.float32)), placed)


def flagged_share(guard: Guard, images: NDArray[np.uint8], features: Floats) -> float:
    """The share of images (N, H, W, C) with these features (N, F) that the guard sends to review."""
    both = zip(_chunks(images), _chunks(features), strict=True)
    return float(np.mean([bool(reasons) for chunks in both for reasons in guard.judge(*chunks)]))


def _chunks(rows: NDArray[Any]) -> list[NDArray[Any]]:
    return [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]


def features_in(images: NDArray[np.uint8], features_of: FeaturesOf) -> Floats:
    """Features (N, F) of images (N, H, W, C), a chunk at a time."""
    return np.concatenate([features_of(chunk) for chunk in _chunks(images)])


def _described(version: int, images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    found = [DESCRIPTIONS[version](chunk) for chunk in _chunks(images)]
    statistics, samples = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return statistics, samples


def _coordinates(guard: Guard, images: NDArray[np.uint8], features: Floats) -> Floats:
    both = zip(_chunks(images), _chunks(features), strict=True)
    return np.concatenate([guard.coordinates(*chunks)[0] for chunks in both])


def _whitening(values: Floats, shrink: float) -> Floats:
    """The matrix that makes values (N, D) uncorrelated and of spread 1; `shrink` of the covariance is taken as round,
    more so where there are few values for so many dimensions."""
    # The floor keeps a statistic that hardly varies in the training part from weighing without bound.
    spread = values.std(0) + 1e-2
    shrink = max(shrink, min(1.0, values.shape[1] / (10 * len(values))))
    correlation = np.cov((values / spread).T)
    round_one = np.eye(len(correlation)) * np.trace(correlation) / len(correlation)
    sizes, axes = np.linalg.eigh((1 - shrink) * correlation + shrink * round_one)
    return np.asarray(axes / np.sqrt(np.maximum(sizes, 1e-9)) / spread[:, None], np.float32)


def _axes(values: Floats, wanted: int) -> tuple[Floats, Floats, Floats]:
    """Mean, the main directions (D, k) and the spread along each (k,); few values give few directions."""
    count = max(1, min(wanted, values.shape[1] - 1, len(values) // 4))
    mean = values.mean(0)
    sizes, axes = np.linalg.eigh(np.cov((values - mean).T))
    largest = np.argsort(-sizes)[:count]
    spread = np.sqrt(np.maximum(sizes[largest], 1e-8))
    return mean, np.asarray(axes[:, largest], np.float32), np.asarray(spread, np.float32)


def _with_axes(version: int, statistics: Floats, samples: Floats, features: Floats) -> Guard:
    """A guard that can tell coordinates; the rest is filled in later."""
    plan = _PLANS[version]
    sample_mean, sample_axes, sample_spread = _axes(samples, min(plan.layout, samples.shape[1] // 5))
    feature_mean, feature_axes, feature_spread = _axes(features, plan.feature)
    width = statistics.shape[1] + len(sample_spread) + len(feature_spread) + 2
    nothing = np.zeros((plan.hidden + 1, 1), np.float32)
    guard = _rounded(
        Guard(
            version=np.asarray(version, np.float32),
            statistics_mean=statistics.mean(0),
            statistics_map=_whitening(statistics, 0.02),
            sample_mean=sample_mean,
            sample_axes=sample_axes,
            sample_spread=sample_spread,
            feature_mean=feature_mean,
            feature_axes=feature_axes,
            feature_spread=feature_spread,
            residual_mean=np.zeros(2, np.float32),
            residual_spread=np.ones(2, np.float32),
            joint_mean=np.zeros(width, np.float32),
            joint_map=np.eye(width, dtype=np.float32),
            layer1=np.zeros((width + 1, plan.hidden), np.float32),
            layer2=np.zeros((plan.hidden + 1, plan.hidden), np.float32),
            layer3=nothing,
            centre=np.zeros(4, np.float32),
            reach=np.ones(4, np.float32),
            bound=np.asarray(np.inf, np.float32).clip(max=np.float32(1e30)),
            least_contrast=np.asarray(0, np.float32),
        )
    )
    left = np.stack(
        [
            _left(samples, guard.sample_mean, guard.sample_axes),
            _left(features, guard.feature_mean, guard.feature_axes),
        ],
        axis=1,
    )
    return replace(guard, residual_mean=left.mean(0), residual_spread=left.std(0) + np.float32(1e-3))


def _left(values: Floats, mean: Floats, axes: Floats) -> Floats:
    centred = values - mean
    left = np.square(centred).sum(1) - np.square(centred @ axes).sum(1)
    return np.asarray(np.log(np.maximum(left, 0) / values.shape[1] + 1e-4), np.float32)


def _rounded(guard: Guard) -> Guard:
    """The guard as the artifact will hold it, so that bounds are set with the numbers that serve."""
    return guard_of(guard.arrays())


def _strangers(
    guard: Guard, own: NDArray[np.uint8], features_of: FeaturesOf, seed: int, most: int
) -> tuple[Floats, NDArray[np.str_]]:
    count = min(most, max(1000, 20 * len(own)))
    found: list[Floats] = []
    names: list[str] = []
    for chunk, kinds in strangers(own, count, seed=seed):
        found.append(guard.coordinates(chunk, features_of(chunk))[0])
        names += kinds
    return np.concatenate(found), np.array(names)


def _stranger_network(own: Floats, others: Floats, plan: _Plan, seed: int) -> list[Floats]:
    """Two hidden layers that tell own images from strangers, both sides weighing alike; offsets in the last rows."""
    if len(others) == 0:  # the set looks like every stranger: the plain distances stand alone
        shapes = (
            (own.shape[1] + 1, plan.hidden),
            (plan.hidden + 1, plan.hidden // 2),
            (plan.hidden // 2 + 1, 1),
        )
        return [np.zeros(shape, np.float32) for shape in shapes]
    generator = torch.Generator().manual_seed(seed)
    x = torch.from_numpy(np.concatenate([own, others])).clamp(-8, 8)
    y = torch.cat([torch.zeros(len(own)), torch.ones(len(others))])
    weight = torch.where(y == 0, len(y) / (2 * len(own)), len(y) / (2 * len(others)))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        linear = [
            nn.Linear(x.shape[1], plan.hidden),
            nn.Linear(plan.hidden, plan.hidden // 2),
            nn.Linear(plan.hidden // 2, 1),
        ]
    net = nn.Sequential(linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2])
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.05)
    steps = plan.epochs * -(-len(x) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(plan.epochs):
        for chosen in torch.split(torch.randperm(len(x), generator=generator), _BATCH):
            noise = 0.1 * torch.randn(len(chosen), x.shape[1], generator=generator)
            logit = net(x[chosen] + noise)[:, 0]
            loss = F.binary_cross_entropy_with_logits(logit, y[chosen], weight=weight[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return [
        torch.cat([layer.weight.T, layer.bias[None]]).detach().numpy().astype(np.float32) for layer in linear
    ]


def _with_bound(guard: Guard, held: Floats) -> Guard:
    """Centre, reach and bound from the validation part's coordinates, so that FLAGGED of it lies outside."""
    distances = guard.distances(held)
    centre = np.median(distances, axis=0)
    reach = np.array([_high(column) for column in distances.T], np.float32) - centre
    guard = replace(guard, centre=centre, reach=np.maximum(reach, np.float32(1e-3)))
    farthest = ((distances - guard.centre) / guard.reach).max(axis=1)
    # Few images show little of what their kind may look like: the bound keeps away from them.
    slack = 1 + _SLACK * max(0.0, len(held) ** -0.5 - _SMALL_PART**-0.5)
    return replace(guard, bound=np.asarray(_high(farthest) * slack, np.float32))


def _high(values: Floats) -> float:
    """The value that FLAGGED of such values exceed; of few values, by the exponential tail that their upper fifth
    shows, since none of them may lie that far out."""
    empirical = float(np.quantile(values, 1 - FLAGGED, method="higher"))
    if len(values) >= _SMALL_PART:
        return empirical
    start = float(np.quantile(values, 0.8))
    excess = float(np.maximum(values[values >= start] - start, 0).mean())
    return max(empirical, start + excess * float(np.log(0.2 / FLAGGED)))


def _flagged(guard: Guard, coordinates: Floats) -> float:
    if len(coordinates) == 0:
        return 0.0
    farthest = ((guard.distances(coordinates) - guard.centre) / guard.reach).max(axis=1)
    return float((farthest > guard.bound).mean())
