"""Fit the guess of the kind of a defect: one or two layers over the features of the training part's defects."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from shared.contract.kinds import MOST_KINDS, is_kind
from shared.json_text import Card
from shared.vision.graph import Graph
from shared.vision.guard import squeezed
from shared.vision.kinds import Kinds
from training.data.records import Record
from training.fit.scale import scale_of

Floats = NDArray[np.float32]
FeaturesOf = Callable[[NDArray[np.uint8]], Floats]
Known = tuple[Sequence[Record], NDArray[np.uint8]]  # records and their images (N, H, W, C)

LEAST = 10  # defects of a kind, to learn it
_STRENGTHS = (0.1, 0.03, 0.01, 0.003, 0.001)  # the penalty per example, on features of spread 1
_ITERATIONS = 100
_HIDDEN = (64, 256)  # numbers of the layer in between
_STEPS, _EPOCHS, _BATCH = (600, 6000), 60, 64  # at least and at most so many steps, about so many epochs
_RATE, _DECAY, _SMOOTHING = 2e-3, 0.05, 0.05
_DROPPED = (0.2, 0.4)  # of the features and of the layer in between
_CHUNK = 32
_MOST_SLOW = 1000  # defects of a part that a slow network looks at


@dataclass(frozen=True)
class Kinded:
    """The layer as an artifact carries it, and the lines of the card."""

    kinds: Kinds
    card: Card


def fit_kinds(train: Known, validation: Known, test: Known, features_of: FeaturesOf) -> Kinded | None:
    """The guess, fitted on the defects whose kind the data names; penalty and layers are chosen on the validation part.

    None where fewer than two kinds have LEAST defects each, or the guess is not right more often on the validation
    part than the most frequent kind alone.
    """
    counts = Counter(record.kind for record in train[0] if record.label and is_kind(record.kind))
    names = tuple(kind for kind, count in counts.most_common(MOST_KINDS) if count >= LEAST)
    if len(names) < 2:
        return None
    (x, y), (held_x, held_y), (test_x, test_y) = (
        _defects(part, names, features_of) for part in (train, validation, test)
    )
    if len(held_y) == 0:
        return None
    fitted = [Kinds(names, _fitted(x, y, len(names), strength)) for strength in _STRENGTHS]
    fitted += [Kinds(names, *_two_layers(x, y, len(names), width)) for width in _HIDDEN]
    best = min(fitted, key=lambda kinds: _loss(kinds, held_x, held_y))
    most = float(np.bincount(held_y).max() / len(held_y))
    if _right(best, held_x, held_y) <= most:
        return None
    card = {
        "names": list(names),
        "defects_of_test": len(test_y),
        "right_of_validation": round(_right(best, held_x, held_y), 4),
        "right_of_test": round(_right(best, test_x, test_y), 4) if len(test_y) else None,
        "most_frequent_of_validation": round(most, 4),
    }
    return Kinded(best, card)


def kinds_for(
    graph: Graph, train: Known, validation: Known, test: Known, *, slow: bool = False
) -> Kinded | None:
    """`fit_kinds` with the features of a graph; a `slow` network looks at fewer images."""

    def features_of(images: NDArray[np.uint8]) -> Floats:
        parts = [
            graph.logits_and_features(images[start : start + _CHUNK])[1]
            for start in range(0, len(images), _CHUNK)
        ]
        return np.concatenate(parts)

    if slow:
        train, validation, test = (_thinned(part) for part in (train, validation, test))
    return fit_kinds(train, validation, test, features_of)


def _thinned(part: Known) -> Known:
    chosen = [at for at, record in enumerate(part[0]) if record.label and record.kind]
    chosen = chosen[:: -(-len(chosen) // _MOST_SLOW)] if chosen else []
    return [part[0][at] for at in chosen], part[1][chosen]


def _defects(part: Known, names: Sequence[str], features_of: FeaturesOf) -> tuple[Floats, NDArray[np.int64]]:
    """Features (n, F) and kinds (n,), as places among `names`, of the defects of these kinds."""
    place_of = {name: place for place, name in enumerate(names)}
    chosen = [at for at, record in enumerate(part[0]) if record.label and record.kind in place_of]
    kinds = np.array([place_of[part[0][at].kind] for at in chosen], np.int64)
    if not chosen:
        return np.empty((0, 0), np.float32), kinds
    return squeezed(features_of(part[1][chosen])), kinds


def _fitted(x: Floats, y: NDArray[np.int64], count: int, strength: float) -> Floats:
    """The layer (F + 1, K) of a multinomial regression, for features as they are."""
    mean, scale = x.mean(0), scale_of(x)
    inputs, kinds = torch.from_numpy((x - mean) / scale), torch.from_numpy(y)
    layer = torch.zeros(x.shape[1] + 1, count, requires_grad=True)
    search = torch.optim.LBFGS([layer], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        entropy = F.cross_entropy(inputs @ layer[:-1] + layer[-1], kinds)
        total = entropy + strength / 2 * layer[:-1].square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    search.step(loss)  # type: ignore[no-untyped-call]
    weights = layer.detach().numpy()
    own = weights[:-1] / scale[:, None]
    return np.concatenate([own, (weights[-1] - mean @ own)[None]]).astype(np.float32)


def _two_layers(x: Floats, y: NDArray[np.int64], count: int, width: int) -> tuple[Floats, Floats]:
    """The layer (width + 1, K) and the hidden one (F + 1, width) of a small network, for features as they are."""
    mean, scale = x.mean(0), scale_of(x)
    inputs, kinds = torch.from_numpy((x - mean) / scale), torch.from_numpy(y)
    chance = torch.random.get_rng_state()  # a training goes on with its own numbers
    torch.manual_seed(0)
    hidden, last = nn.Linear(x.shape[1], width), nn.Linear(width, count)
    net = nn.Sequential(nn.Dropout(_DROPPED[0]), hidden, nn.ReLU(), nn.Dropout(_DROPPED[1]), last)
    search = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=_DECAY)
    steps = min(_STEPS[1], max(_STEPS[0], _EPOCHS * -(-len(x) // _BATCH)))
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(search, steps)
    for _ in range(steps):
        chosen = torch.randint(len(x), (min(_BATCH, len(x)),))
        loss = F.cross_entropy(net(inputs[chosen]), kinds[chosen], label_smoothing=_SMOOTHING)
        search.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        search.step()
        rate.step()
    torch.random.set_rng_state(chance)
    first = hidden.weight.detach().numpy().T / scale[:, None]
    offset = hidden.bias.detach().numpy() - mean @ first
    end = np.concatenate([last.weight.detach().numpy().T, last.bias.detach().numpy()[None]])
    return end.astype(np.float32), np.concatenate([first, offset[None]]).astype(np.float32)


def _loss(kinds: Kinds, x: Floats, y: NDArray[np.int64]) -> float:
    return float(F.cross_entropy(torch.from_numpy(kinds.odds(x)), torch.from_numpy(y)))


def _right(kinds: Kinds, x: Floats, y: NDArray[np.int64]) -> float:
    return float((kinds.odds(x).argmax(axis=1) == y).mean())
