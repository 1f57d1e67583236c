"""How fast this machine trains: the clock that a budget counts by, and the measured seconds of an epoch."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from training.fit.augment import Augmentation
from training.fit.part import Part
from training.fit.recipe import batch_for
from training.fit.steps import batch_of


def clock_for(device: str) -> Callable[[], float]:
    """Seconds that the budget counts: on one CPU thread those that this program ran, so that the same budget
    gives the same network whatever else the machine does; else those on the wall."""
    return time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.monotonic


def seconds_an_epoch(net: nn.Module, part: Part, augment: Augmentation, device: str) -> float:
    """Measured over a few training steps, the first one apart."""
    batch, steps = batch_for(len(part)), 6
    optimizer = torch.optim.AdamW(net.parameters(), 1e-4)
    clock = clock_for(device)
    started = 0.0
    for i in range(steps + 2):
        if i == 2:
            started = clock()
        chosen = np.arange(i * batch, (i + 1) * batch) % len(part)
        with torch.autocast(device, torch.bfloat16, enabled=bf16_is_fast() or device == "cuda"):
            logit = net(augment(batch_of(part.images, chosen))[0].to(device).permute(0, 2, 3, 1))[0]
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(logit, torch.ones_like(logit)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return (clock() - started) / steps * len(part) / batch * 1.15  # and validation


def bf16_is_fast() -> bool:
    """Half the memory traffic, and on CPUs with AVX512-BF16 or AMX twice the speed."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
