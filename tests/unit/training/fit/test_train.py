from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from shared.vision.net import Shape
from training.fit.augment import Liberties
from training.fit.part import Part
from training.fit.recipe import Plan
from training.fit.train import Fitted, fit, predict

SHAPE = Shape("residual", 16, 16, 1, (8, 16), (1, 1), stem_stride=1)
FREE = Liberties(True, True, True, False)
PLAN = Plan(epochs=3, batch=16, learning_rate=5e-3, weight_decay=0.01, patience=3)


def blobs(count: int, seed: int = 0, masks: bool = False) -> Part:
    rng = np.random.default_rng(seed)
    images = rng.normal(100, 10, (count, 16, 16, 1))
    shown = np.zeros((count, 16, 16, 1), np.uint8)
    for place in range(0, count, 2):
        top, left = rng.integers(1, 12, 2)
        images[place, top : top + 4, left : left + 4] += 60
        shown[place, top : top + 4, left : left + 4] = 255
    labels = (np.arange(count) % 2 == 0).astype(np.int64)
    return Part(images.clip(0, 255).astype(np.uint8), labels, np.arange(count), shown if masks else None)


def fitted(
    plan: Plan | None = PLAN, budget_s: float = 60.0, seed: int = 0, train: Part | None = None, **more: Any
) -> Fitted:
    learned = blobs(160) if train is None else train
    more |= {"budget_s": budget_s, "freedom": FREE, "plan": plan, "seed": seed, "say": lambda _: None}
    return fit(SHAPE, learned, blobs(40, seed=1), **more)


def share_of_blobs_told(train: Part) -> float:
    """The share of fresh images that a network gets right which has learned `train`."""
    result = fitted(replace(PLAN, epochs=12, patience=12), train=train)
    test = blobs(100, seed=2)
    return float(((predict(result.net, test.images) > 0) == (test.labels == 1)).mean())


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("masks", [False, True])
def test_it_learns_to_tell_blobs_from_none(masks: bool) -> None:
    assert share_of_blobs_told(blobs(160, masks=masks)) > 0.9


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not() -> None:
    first, again, other = fitted(), fitted(), fitted(seed=1)
    for a, b in zip(first.net.state_dict().values(), again.net.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    heads = [made.net.state_dict()["head.weight"] for made in (first, other)]
    assert not torch.equal(heads[0], heads[1])


def test_the_kept_weights_are_those_of_the_best_epoch() -> None:
    result = fitted(replace(PLAN, epochs=6, patience=6))
    losses = [row["validation_loss"] for row in result.history]
    assert result.best_epoch == 1 + int(np.argmin(losses))


def test_patience_ends_a_training_that_no_longer_gets_better() -> None:
    result = fitted(replace(PLAN, epochs=50, learning_rate=0.0, weight_decay=0.0, patience=2))
    assert len(result.history) < 50
    assert result.stop_reason == "no better validation loss in 2 epochs"


def test_the_budget_ends_a_training_after_the_epoch_it_is_in() -> None:
    result = fitted(replace(PLAN, epochs=1000, patience=1000), budget_s=0.5)
    assert result.stop_reason == "budget spent"
    assert result.best_epoch >= 1


def test_a_last_batch_of_one_image_does_no_harm() -> None:
    result = fit(SHAPE, blobs(17), blobs(10, 1), budget_s=30, freedom=FREE, plan=PLAN, say=lambda _: None)
    assert np.isfinite([row["train_loss"] for row in result.history]).all()


def test_a_teacher_that_is_always_wrong_does_not_outlast_the_labels() -> None:
    train = blobs(160)
    misled = replace(train, words=(1 - train.labels).astype(np.float32))
    assert share_of_blobs_told(misled) > 0.9


def test_a_teacher_tells_what_the_labels_leave_open() -> None:
    train = blobs(160)
    open_ = replace(train, targets=np.full(160, 0.5, np.float32), words=train.labels.astype(np.float32))
    assert share_of_blobs_told(open_) > 0.9


def test_muon_trains_random_weights_and_adamw_those_that_are_given() -> None:
    first = fitted(None, budget_s=3.0)
    assert first.plan.optimizer == "muon"
    again = fitted(None, budget_s=3.0, start=first.net.state_dict())
    assert again.plan.optimizer == "adamw"
