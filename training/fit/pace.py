"""How fast this machine trains: the clock that a budget counts by, and the measured seconds of an epoch."""

import ctypes
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from training.fit.augment import Augmentation
from training.fit.optimizers import Optimizers
from training.fit.part import Part
from training.fit.recipe import plan_for
from training.fit.steps import batch_of

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_KEPT_BYTES = 2_000_000_000


def keep_freed_memory() -> None:
    """Keep the memory of freed arrays for the next step, where the C library is glibc. By default it hands large arrays
    back, and every step faults its pages in again: a seventh of the CPU time at 150 x 150 pixels in colour."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def clock_for(device: str) -> Callable[[], float]:
    """Seconds that the budget counts: on one CPU thread those that this program ran, so that the same budget
    gives the same network whatever else the machine does; else those on the wall."""
    return time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.monotonic


def seconds_an_epoch(net: nn.Module, part: Part, augment: Augmentation, device: str, optimizer: str) -> float:
    """Measured over a few training steps, the first one apart."""
    plan, steps = plan_for(len(part), 1.0, 0.0, optimizer=optimizer), 6
    optimizers = Optimizers([net], plan)
    scaler = torch.amp.GradScaler(device, enabled=False)
    clock = clock_for(device)
    started = 0.0
    for i in range(steps + 2):
        if i == 2:
            started = clock()
        chosen = np.arange(i * plan.batch, (i + 1) * plan.batch) % len(part)
        with torch.autocast(device, torch.bfloat16, enabled=bf16_is_fast() or device == "cuda"):
            logit = net(augment(batch_of(part.images, chosen))[0].to(device).permute(0, 2, 3, 1))[0]
        optimizers.step(F.binary_cross_entropy_with_logits(logit, torch.ones_like(logit)), scaler)
    return (clock() - started) / steps * len(part) / plan.batch * 1.15  # and validation


def bf16_is_fast() -> bool:
    """Half the memory traffic, and on CPUs with AVX512-BF16 or AMX twice the speed."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
