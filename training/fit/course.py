"""An epoch of training: steps over a shuffled part, and the state that they change."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from shared.vision.net import Shape
from training.fit.augment import Augmentation
from training.fit.guide import Guide
from training.fit.optimizers import Optimizers
from training.fit.pace import bf16_is_fast
from training.fit.part import Part
from training.fit.recipe import Plan
from training.fit.steps import batch_of, example_weights, follow, rate_at
from training.progress import Progress

# The weight of a teacher's word at the first step. It falls to 0 with the steps: the teacher knows doubtful images, but
# where the network ends ahead of it, its errors would be learned.
_TRUST = 0.5


@dataclass
class Course:
    """`averaged` follows `net` and is the one that is kept; `weights`, `targets` and `words` (N,) are those of the
    examples."""

    net: nn.Module
    averaged: nn.Module
    guide: Guide | None
    train: Part
    plan: Plan
    augment: Augmentation
    optimizers: Optimizers
    scaler: torch.amp.GradScaler
    half: torch.dtype | None  # the precision of a step, where it is not that of the weights
    weights: Tensor
    targets: Tensor
    words: Tensor | None  # of a teacher
    device: str
    step: int = 0

    def epoch(
        self, places: NDArray[np.int64], spent: Callable[[], float], progress: Progress
    ) -> tuple[float, float]:
        """Learn the examples at `places` (N,) in this order; the mean loss and the share of hits of the examples.

        `spent` is the share of the budget that is gone.
        """
        self.net.train()
        steps = math.ceil(len(places) / self.plan.batch)
        loss_sum = hits = 0.0
        for first in range(0, len(places), self.plan.batch):
            chosen = np.sort(places[first : first + self.plan.batch])
            if len(chosen) == 1 and len(places) > 1:
                continue  # a batch norm learns nothing from one image
            # Falls with the steps; with the clock only where the machine is clearly slower than it seemed,
            # so that the same seed gives the same weights wherever the budget is no matter.
            done = max(self.step / (self.plan.epochs * steps), spent() - 0.03)
            self.optimizers.set_rate(rate_at(self.plan, done))
            each, logit = self._step(chosen, _TRUST * max(0.0, 1 - done))
            self.step += 1
            progress(first + len(chosen), len(places))
            follow(self.averaged, self.net, self.step, max(50, steps) if self.plan.average_weights else 0)
            labels = torch.from_numpy(self.train.labels[chosen]).to(self.device)
            loss_sum += float(each.detach().sum())
            hits += float(((logit > 0) == (labels == 1)).sum())
        return loss_sum / len(places), hits / len(places)

    def _step(self, chosen: NDArray[np.int64], trust: float) -> tuple[Tensor, Tensor]:
        """Move the weights; the loss and the logit of each chosen example. `trust` is the weight of the teacher's
        word in what is learned."""
        images, masks = batch_of(self.train.images, chosen), None
        if self.guide is not None and self.train.masks is not None:
            masks = batch_of(self.train.masks, chosen)
        if self.plan.augment:
            images, masks = self.augment(images, masks)
        with torch.autocast(self.device, self.half, enabled=self.half is not None):
            logit = self.net(images.to(self.device).permute(0, 2, 3, 1))[0]
        smoothing = self.plan.label_smoothing
        target = self.targets[chosen]
        if self.words is not None:
            target = target + trust * (self.words[chosen] - target)
        target = target.to(self.device) * (1 - smoothing) + smoothing / 2
        each = F.binary_cross_entropy_with_logits(logit, target, reduction="none")
        loss = (each * self.weights[chosen].to(self.device)).mean()
        if self.guide is not None and masks is not None:
            loss = loss + self.guide(masks.to(self.device))
        self.optimizers.step(loss, self.scaler)
        return each, logit


def course_of(
    net: nn.Module, shape: Shape, train: Part, plan: Plan, augment: Augmentation, device: str
) -> Course:
    """The state before the first step of a plan."""
    # Where masks say which pixels are flawed, a throw-away layer learns to point at them: from one yes or no a
    # image, a network needs many epochs to find out what a flaw of fifty pixels in twenty thousand looks like.
    # The original design has no such layer.
    guided = train.masks is not None and shape.kind != "original"
    guide = Guide(net, shape).to(device) if guided else None
    # Half precision where the device multiplies faster in it; the weights themselves stay fp32.
    fast = torch.float16 if device == "cuda" else torch.bfloat16
    mixed = shape.kind != "original" and (device == "cuda" or bf16_is_fast())
    weights = example_weights(train) if plan.balance else np.ones(len(train))
    targets = train.labels if train.targets is None else train.targets
    return Course(
        net=net,
        averaged=copy.deepcopy(net).eval(),
        guide=guide,
        train=train,
        plan=plan,
        augment=augment,
        optimizers=Optimizers([net] if guide is None else [net, guide], plan),
        scaler=torch.amp.GradScaler(device, enabled=device == "cuda"),
        half=fast if mixed else None,
        weights=torch.from_numpy(weights).float(),
        targets=torch.from_numpy(np.asarray(targets, np.float32)),
        words=None if train.words is None else torch.from_numpy(train.words),
        device=device,
    )
