"""The training loop: `fit` turns pixels, labels and a plan into weights."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from shared.registry.artifact import Calibration
from shared.vision.net import Shape, build
from training.fit.augment import Augmentation, Liberties
from training.fit.guide import Guide
from training.fit.pace import bf16_is_fast, clock_for, seconds_an_epoch
from training.fit.part import Part
from training.fit.recipe import Plan, plan_for
from training.fit.steps import batch_of, example_weights, follow, optimizer_for, set_rate
from training.proof.calibrate import fit_calibration, scores

GENTLE = 0.25  # of the learning rate: a full one would undo what the weights know already
Say = Callable[[str], None]
Progress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """For those who do not look."""


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
    torch.manual_seed(seed)
    order = np.random.default_rng(seed)
    net = _begin(shape, start, device)
    augment = Augmentation(freedom)
    if plan is None:
        seconds = seconds_an_epoch(net, train, augment, device)
        plan = plan_for(len(train), seconds, budget_s - (clock() - started))
        plan = replace(plan, learning_rate=plan.learning_rate * (GENTLE if gentle else 1))
        torch.manual_seed(seed)
        net = _begin(shape, start, device)
    # Where masks say which pixels are flawed, a throw-away layer learns to point at them: from one yes or no a
    # image, a network needs many epochs to find out what a flaw of fifty pixels in twenty thousand looks like.
    # The original design has no such layer.
    guided = train.masks is not None and shape.kind != "original"
    guide = Guide(net, shape).to(device) if guided else None
    optimizer = optimizer_for([net] if guide is None else [net, guide], plan)
    weights = torch.from_numpy(example_weights(train) if plan.balance else np.ones(len(train))).float()
    targets = torch.from_numpy(
        np.asarray(train.labels if train.targets is None else train.targets, np.float32)
    )
    averaged = copy.deepcopy(net).eval()
    steps_an_epoch = math.ceil(len(train) / plan.batch)
    total_steps, step = plan.epochs * steps_an_epoch, 0
    result = Fitted(averaged, plan, 0, "planned epochs done", 0.0)
    best_state, best_loss, epochs_since_best = copy.deepcopy(net.state_dict()), math.inf, 0
    # Half precision where the device multiplies faster in it; the weights themselves stay fp32.
    half = torch.float16 if device == "cuda" else torch.bfloat16
    scaler = torch.amp.GradScaler(device, enabled=device == "cuda")
    mixed = shape.kind != "original" and (device == "cuda" or bf16_is_fast())

    try:
        for epoch in range(1, plan.epochs + 1):
            net.train()
            places = order.permutation(len(train))
            loss_sum = hits = 0.0
            for first in range(0, len(places), plan.batch):
                chosen = np.sort(places[first : first + plan.batch])
                if len(chosen) == 1 and len(places) > 1:
                    continue  # a batch norm learns nothing from one image
                # Falls with the steps; with the clock only where the machine is clearly slower than it seemed,
                # so that the same seed gives the same weights wherever the budget is no matter.
                done = max(step / total_steps, (clock() - started) / budget_s - 0.03)
                set_rate(optimizer, plan, done)
                labels = torch.from_numpy(train.labels[chosen]).float().to(device)
                images, masks = batch_of(train.images, chosen), None
                if guide is not None and train.masks is not None:
                    masks = batch_of(train.masks, chosen)
                if plan.augment:
                    images, masks = augment(images, masks)
                with torch.autocast(device, half, enabled=mixed):
                    logit = net(images.to(device).permute(0, 2, 3, 1))[0]
                target = targets[chosen].to(device) * (1 - plan.label_smoothing) + plan.label_smoothing / 2
                each = F.binary_cross_entropy_with_logits(logit, target, reduction="none")
                loss = (each * weights[chosen].to(device)).mean()
                if guide is not None and masks is not None:
                    loss = loss + guide(masks.to(device))
                optimizer.zero_grad(set_to_none=True)
                scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
                scaler.step(optimizer)
                scaler.update()
                step += 1
                progress(first + len(chosen), len(places))
                follow(averaged, net, step, max(50, steps_an_epoch) if plan.average_weights else 0)
                loss_sum += float(each.detach().sum())
                hits += float(((logit > 0) == (labels > 0.5)).sum())

            logits = predict(averaged, validation.images, device)
            row = _judge(epoch, plan, logits, validation, loss_sum / len(train), hits / len(train))
            result.history.append(row)
            result.seconds = clock() - started
            say(
                f"epoch {epoch:3d}/{plan.epochs}  "
                f"loss {row['train_loss']:.4f} / {row['validation_loss']:.4f}  "
                f"accuracy {row['train_accuracy']:.2%} / {row['validation_accuracy']:.2%}  "
                f"{result.seconds / 60:.1f} min"
            )
            epochs_since_best += 1
            if keep_last or row["validation_loss"] < best_loss:
                best_loss, epochs_since_best = row["validation_loss"], 0
                best_state, result.best_epoch = copy.deepcopy(averaged.state_dict()), epoch
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
    averaged.load_state_dict(best_state)
    result.net = averaged.cpu().to(memory_format=torch.contiguous_format).eval()
    result.seconds = clock() - started
    return result


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
