"""Training steps fed as training feeds them, against the same steps from tensors that lie ready."""

import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from bench.table import Row
from shared.vision.net import build
from training.data.pixels import decode_files
from training.fit.augment import Augmentation, Liberties
from training.fit.recipe import preprocessing_for, shape_for
from training.fit.steps import batch_of

_BATCH, _STEPS = 64, 8


def measure(images: list[Path], *, repeats: int = 5) -> list[Row]:
    """Images a second of both, step by step in turns; the loader's share includes augmentation."""
    spec = preprocessing_for([(300, 300)], colour=False)
    arrays = decode_files(images[: _BATCH * _STEPS], spec)
    net = build(shape_for(spec)).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
    augment = Augmentation(
        Liberties(mirror_sideways=True, mirror_upright=True, quarter_turns=True, any_turn=True)
    )
    places = [np.arange(step * _BATCH, (step + 1) * _BATCH) for step in range(_STEPS)]
    ready = [augment(batch_of(arrays, chosen), None)[0] for chosen in places]
    target = torch.arange(_BATCH).remainder(2).float()

    def learn(batch: torch.Tensor) -> None:
        loss = F.binary_cross_entropy_with_logits(net(batch.permute(0, 2, 3, 1))[0], target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    loaded, preloaded = [], []
    for _ in range(repeats):
        started = time.perf_counter()
        for chosen in places:
            learn(augment(batch_of(arrays, chosen), None)[0])
        between = time.perf_counter()
        for batch in ready:
            learn(batch)
        loaded.append(between - started)
        preloaded.append(time.perf_counter() - between)
    count = _BATCH * _STEPS
    slow, fast = float(np.median(loaded)), float(np.median(preloaded))
    return [
        Row("training loader against preloaded tensors", count / slow, "images/s", ratio=fast / slow, reach=0.9,
            note=f"preloaded {count / fast:.0f}, {spec.width} px")
    ]  # fmt: skip
