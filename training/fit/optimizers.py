"""Muon for the weights of convolutions, AdamW for the others, as one optimizer with one learning rate.

Muon (https://kellerjordan.github.io/posts/muon/) makes each step of a matrix of weights equally long in all directions,
and learned rendered parts in far fewer epochs than AdamW alone (docs/training.md).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.fit.recipe import Plan

_STEP = 10.0  # of Muon, times that which AdamW would take
_FEWEST_MAPS = 8  # a convolution from fewer channels looks at pixels


class Optimizers:
    """`weights` are those of convolutions between maps, and `matrices` hold the same memory: a row for each channel of
    the outcome, as PyTorch's Muon takes them."""

    def __init__(self, modules: Sequence[nn.Module], plan: Plan) -> None:
        every = [p for module in modules for p in module.parameters()]
        self.weights = [p for p in every if _joins_maps(p)] if plan.optimizer == "muon" else []
        joined = set(map(id, self.weights))
        others = [p for p in every if id(p) not in joined]
        # A view, which fails where the channels do not lie last in memory: a copy would never reach the network.
        self.matrices = [
            nn.Parameter(weight.data.permute(0, 2, 3, 1).view(len(weight), -1)) for weight in self.weights
        ]
        self._each: list[tuple[torch.optim.Optimizer, float]] = [(_plain(others, plan), 1.0)]
        if self.matrices:
            muon = torch.optim.Muon(
                self.matrices,
                plan.learning_rate,
                weight_decay=plan.weight_decay / _STEP,  # per step, that of AdamW
                adjust_lr_fn="match_rms_adamw",
            )
            self._each.append((muon, _STEP))

    def set_rate(self, rate: float) -> None:
        """The learning rate of AdamW; that of Muon follows."""
        for optimizer, factor in self._each:
            for group in optimizer.param_groups:
                group["lr"] = rate * factor

    def step(self, loss: Tensor, scaler: torch.amp.GradScaler) -> None:
        """Move the weights against the gradient of the loss."""
        for weight in self.weights:
            weight.grad = None
        for optimizer, _ in self._each:
            optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        for weight, matrix in zip(self.weights, self.matrices, strict=True):
            if weight.grad is not None:
                matrix.grad = weight.grad.permute(0, 2, 3, 1).flatten(1)
        for optimizer, _ in self._each:
            scaler.step(optimizer)
        scaler.update()


def _plain(parameters: Sequence[nn.Parameter], plan: Plan) -> torch.optim.Optimizer:
    if plan.optimizer == "adam":
        return torch.optim.Adam(parameters, plan.learning_rate, weight_decay=plan.weight_decay)
    decayed = [p for p in parameters if p.ndim > 1]
    free = [p for p in parameters if p.ndim <= 1]
    groups: list[dict[str, object]] = [{"params": decayed}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, plan.learning_rate, weight_decay=plan.weight_decay)


def _joins_maps(weight: nn.Parameter) -> bool:
    """Whether these are the weights of a convolution from maps to maps, and not from pixels."""
    return weight.ndim == 4 and weight.shape[0] > 1 and weight.shape[1] >= _FEWEST_MAPS
