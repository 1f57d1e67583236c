"""Logistic regression with an L2 penalty; its strength is chosen by folds of whole groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.fit.scale import scale_of

Floats = NDArray[np.float32]

# The penalty per example, on features of spread 1: from stiff to free.
STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
_ITERATIONS = 60


@dataclass(frozen=True)
class Linear:
    """logit = features @ weights + offset, for features as they are."""

    weights: Floats
    offset: float
    strength: float

    def logits(self, features: Floats) -> Floats:
        """(N,) of features (N, F)."""
        return np.asarray(features @ self.weights + self.offset, np.float32)


@dataclass(frozen=True)
class CrossFitted:
    """The model of all examples, and for each example the logit of a model that has not seen its group (N,)."""

    model: Linear
    held_out: Floats


def cross_fit(
    features: Floats,
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    folds: Sequence[NDArray[np.int64]],
) -> CrossFitted:
    """Features (N, F), labels (N,) 1 = defect, weights (N,); `folds` are disjoint places that together are all.

    The strength is the one with the smallest held-out loss.
    """
    tried = {}
    held_out = {strength: np.zeros(len(labels), np.float32) for strength in STRENGTHS}
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(labels)), fold)
        for model in fit_all(features[rest], labels[rest], weights[rest], STRENGTHS):
            held_out[model.strength][fold] = model.logits(features[fold])
    for strength, logits in held_out.items():
        loss = np.logaddexp(0, np.where(labels == 1, -logits, logits))
        tried[strength] = float((loss * weights).mean())
    best = min(tried, key=lambda strength: tried[strength])
    return CrossFitted(fit_all(features, labels, weights, [best])[0], held_out[best])


def fit_all(
    features: Floats, labels: NDArray[np.int64], weights: NDArray[np.float64], strengths: Sequence[float]
) -> list[Linear]:
    """A model for each strength; each fit begins where the one before it ended."""
    mean, scale = features.mean(0), scale_of(features)
    x = torch.from_numpy(np.asarray((features - mean) / scale, np.float32))
    # In the span of few examples the answer is the same, and each step costs less.
    basis = torch.eye(x.shape[1])
    if 2 * len(x) < x.shape[1]:
        basis = torch.linalg.qr(x.T).Q
        x = x @ basis
    y = torch.from_numpy(labels.astype(np.float32))
    share = torch.from_numpy((weights / weights.mean()).astype(np.float32))
    found, start = [], torch.zeros(x.shape[1] + 1)
    for strength in strengths:
        start = _minimum(x, y, share, strength, start)
        own = (basis @ start[:-1]).numpy() / scale
        found.append(Linear(own.astype(np.float32), float(start[-1]) - float(mean @ own), strength))
    return found


def _minimum(x: Tensor, y: Tensor, share: Tensor, strength: float, start: Tensor) -> Tensor:
    weights = start.clone().requires_grad_()
    search = torch.optim.LBFGS(
        [weights], max_iter=_ITERATIONS, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        search.zero_grad()
        z = x @ weights[:-1] + weights[-1]
        each = torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="none")
        total = (each * share).mean() + strength / 2 * weights[:-1].square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    search.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach()
