"""The training loop: `fit` turns pixels, labels and a plan into weights."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.registry.artifact import Calibration
from shared.vision.net import Shape, build
from training.fit.augment import Augmentation, Liberties
from training.fit.course import course_of
from training.fit.pace import clock_for, seconds_an_epoch
from training.fit.part import Part
from training.fit.recipe import Plan, plan_for
from training.progress import Progress, Say, no_progress
from training.proof.calibrate import fit_calibration, scores

GENTLE = 0.25  # of the learning rate: a full one would undo what the weights know already


@dataclass
class Fitted:
    """The best epoch's weights, what led there, and why it ended."""

    net: nn.Module
    plan: Plan
    best_epoch: int
    stop_reason: str
    seconds: float
    history: list[dict[str, float]] = field(default_factory=list)


def fit(
    shape: Shape,
    train: Part,
    validation: Part,
    *,
    budget_s: float,
    freedom: Liberties,
    start: Mapping[str, Tensor] | None = None,
    gentle: bool = False,
    plan: Plan | None = None,
    keep_last: bool = False,
    device: str = "cpu",
    seed: int = 0,
    say: Say = print,
    progress: Progress = no_progress,
) -> Fitted:
    """Train until the plan's end, the patience's, the budget's, or Ctrl-C; the best epoch so far is kept.

    With `keep_last` the last epoch is kept and no patience ends the training: `validation` decides nothing then, so
    the network may be judged on it.

    Without a `plan` the speed of the first steps decides how many epochs fit `budget_s`. `start` is a whole state
    of the network to begin with, in place of random weights, and `gentle` takes smaller steps from it.
    """
    clock = clock_for(device)
    started = clock()
    order = np.random.default_rng(seed)
    augment = Augmentation(freedom)
    if plan is None:
        # Given weights learned worse by Muon (docs/training.md).
        optimizer = "muon" if start is None else "adamw"
        seconds = seconds_an_epoch(_begin(shape, start, device), train, augment, device, optimizer)
        plan = plan_for(len(train), seconds, budget_s - (clock() - started), optimizer=optimizer)
        plan = replace(plan, learning_rate=plan.learning_rate * (GENTLE if gentle else 1))
    torch.manual_seed(seed)
    net = _begin(shape, start, device)
    course = course_of(net, shape, train, plan, augment, device)
    result = Fitted(course.averaged, plan, 0, "planned epochs done", 0.0)
    best_state, best_loss, epochs_since_best = copy.deepcopy(net.state_dict()), math.inf, 0

    try:
        for epoch in range(1, plan.epochs + 1):
            places = order.permutation(len(train))
            loss, hits = course.epoch(places, lambda: (clock() - started) / budget_s, progress)
            logits = predict(course.averaged, validation.images, device)
            row = _judge(epoch, plan, logits, validation, loss, hits)
            result.history.append(row)
            result.seconds = clock() - started
            say(_line(row, plan, result.seconds))
            epochs_since_best += 1
            if keep_last or row["validation_loss"] < best_loss:
                best_loss, epochs_since_best = row["validation_loss"], 0
                best_state, result.best_epoch = copy.deepcopy(course.averaged.state_dict()), epoch
            if epochs_since_best >= plan.patience:
                result.stop_reason = f"no better validation loss in {plan.patience} epochs"
                break
            if result.seconds > budget_s:
                result.stop_reason = "budget spent"
                break
    except KeyboardInterrupt:
        result.stop_reason = "interrupted; the best epoch so far is kept"
        if result.best_epoch == 0:
            raise
    course.averaged.load_state_dict(best_state)
    result.net = course.averaged.cpu().to(memory_format=torch.contiguous_format).eval()
    result.seconds = clock() - started
    return result


def _line(row: Mapping[str, float], plan: Plan, seconds: float) -> str:
    """A row of the history for a person."""
    return (
        f"epoch {row['epoch']:3.0f}/{plan.epochs}  "
        f"loss {row['train_loss']:.4f} / {row['validation_loss']:.4f}  "
        f"accuracy {row['train_accuracy']:.2%} / {row['validation_accuracy']:.2%}  "
        f"{seconds / 60:.1f} min"
    )


def _begin(shape: Shape, start: Mapping[str, Tensor] | None, device: str) -> nn.Module:
    net = build(shape)
    if start is not None:
        net.load_state_dict(start)
    return net.to(device).to(memory_format=torch.channels_last)


def predict(net: nn.Module, images: NDArray[np.uint8], device: str = "cpu") -> NDArray[np.float32]:
    """Logits (N,) in fp32, for choosing epochs; what serves is scored by the exported graph."""
    net.eval()
    with torch.inference_mode():
        parts = [
            net(torch.from_numpy(images[start : start + 128]).to(device))[0].float().cpu()
            for start in range(0, len(images), 128)
        ]
    return torch.cat(parts).numpy()


def _judge(
    epoch: int,
    plan: Plan,
    logits: NDArray[np.float32],
    part: Part,
    train_loss: float,
    train_accuracy: float,
) -> dict[str, float]:
    """A row of the history. The recipe takes the validation loss after calibration, because the service calibrates
    its scores: an epoch that is too sure of itself is not refused for a fault that calibration repairs."""
    fitted = Calibration(1.0, 0.0)
    if plan.calibrated_loss:
        fitted = fit_calibration(logits, part.labels, part.groups)
    p = np.clip(scores(logits, fitted), 1e-7, 1 - 1e-7)
    loss = -np.where(part.labels == 1, np.log(p), np.log(1 - p))
    return {
        "epoch": float(epoch),
        "train_loss": train_loss,
        "validation_loss": float(loss.mean()),
        "train_accuracy": train_accuracy,
        "validation_accuracy": float(((p >= 0.5) == (part.labels == 1)).mean()),
    }
