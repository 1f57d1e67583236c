"""The run folder at the start of a training: the split, written before anything is learned from it."""

from collections.abc import Callable

import torch

from shared.clock import now, rfc3339
from training.data.records import DataError
from training.data.splits import Split, part_hash
from training.fit.pace import clock_for, keep_freed_memory
from training.options import Options
from training.progress import Say
from training.proof.prove import write_json


def begin(split: Split, how: str, options: Options, say: Say) -> tuple[str, Callable[[], float]]:
    """Write split.json; the device to train on, and the clock that the budget counts by. Raises DataError where
    the wanted device is not there."""
    if options.device == "cuda" and not torch.cuda.is_available():
        raise DataError("--device cuda: PyTorch finds no CUDA device here")
    options.output.mkdir(parents=True, exist_ok=True)
    if (options.output / "card.json").exists():
        say(f"{options.output} holds an earlier training, which this one replaces")
    test_sha256 = part_hash(split.test)
    parts = ("train", "validation", "test", *(("proof",) if split.proof is not None else ()))
    write_json(
        options.output / "split.json",
        {"split": how, "seed": options.seed, "test_sha256": test_sha256, "made_at": rfc3339(now())}
        | {name: [record.identity for record in getattr(split, name)] for name in parts},
    )
    say(
        f"split: {how}; {len(split.train)}/{len(split.validation)}/{len(split.test)}; test part {test_sha256[:16]}"
    )
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return device, clock_for(device)
