"""Every part judged once, by a model that never saw it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from shared.errors import ItemError
from shared.json_text import Card
from shared.registry.artifact import read_artifact
from training.crossfit import is_few, train_crossed
from training.data.check import check
from training.data.records import Record
from training.data.report import Report
from training.data.splits import Split, grouped_folds
from training.options import Options
from training.pipeline import train_split
from training.progress import Say, no_progress
from training.proof.evaluate import judge_records
from training.proof.metrics import by_groups
from training.proof.rows import row_of

FOLDS = 5


def by_folds(folder: Path, options: Options, say: Say) -> Card:
    """Every part is judged once, by a model that never saw it. Each fold is a training with the whole budget."""

    looked = check(folder)
    hits: list[bool] = []
    labels: list[int] = []
    groups: list[str] = []
    rows = []
    missed: dict[str, list[bool]] = {}
    for number, test in enumerate(grouped_folds(looked.records, FOLDS, seed=options.seed)):
        inside = {record.path for record in test}
        rest = [record for record in looked.records if record.path not in inside]
        own = replace(
            options,
            output=options.output / f"fold-{number}",
            split="auto",
        )
        written = own.output / f"{own.name}.gonogo"
        if not written.exists() or "test" not in read_artifact(written).card:
            _train(looked, rest, test, number, own, say)
        artifact = read_artifact(written)
        rows.append(row_of(artifact.card))
        outcomes = judge_records(artifact, test, threads=options.threads)
        for record, outcome in zip(test, outcomes, strict=True):
            if isinstance(outcome, ItemError):
                continue
            hit = (outcome.score >= artifact.operating_point.threshold) == bool(record.label)
            hits.append(hit)
            labels.append(record.label)
            groups.append(record.group)
            missed.setdefault(f"{record.group} ({'defect' if record.label else 'good'})", []).append(hit)
    _, numbers = np.unique(groups, return_inverse=True)
    hit_array, label_array = np.array(hits), np.array(labels)
    interval = by_groups(hit_array, numbers.astype(np.int64), label_array)
    worst = sorted(((np.mean(h), len(h), name) for name, h in missed.items() if np.mean(h) < 0.9))
    return {
        **rows[0],
        "pictures": len(looked.records),
        "split": f"{FOLDS} folds by whole groups",
        "test": len(hits),
        "groups": len(set(groups)),
        "test_sha256": "all, by folds",
        "minutes": sum(row["minutes"] for row in rows),
        "cpu_minutes": sum(row["cpu_minutes"] for row in rows),
        "accuracy": {"value": interval.value, "low": interval.low, "high": interval.high},
        "accuracy_by_groups": {"value": interval.value, "low": interval.low, "high": interval.high},
        "escapes": f"{int((~hit_array & (label_array == 1)).sum())}/{int(label_array.sum())}",
        "false_rejects": f"{int((~hit_array & (label_array == 0)).sum())}/{int((label_array == 0).sum())}",
        "auroc": float(np.mean([row["auroc"] for row in rows])),
        "ece": _mean_of([row["ece"] for row in rows]),
        "missed_parts": [f"part {name}: {share:.0%} of {count} images right" for share, count, name in worst],
    }


def _train(
    looked: Report, rest: list[Record], test: list[Record], number: int, options: Options, say: Say
) -> None:
    """As `train` would with the fold as its test part."""
    if is_few(rest, options):
        train_crossed(looked, rest, test, options, say=say, progress=no_progress)
        return
    split = _inner(rest, test, options.seed)
    train_split(looked, split, f"fold {number} of {FOLDS} by whole groups", options, say=say)


def _inner(rest: list[Record], test: list[Record], seed: int) -> Split:
    """Train and validation out of what the fold leaves, by whole groups."""
    validation = grouped_folds(rest, FOLDS, seed=seed)[0]
    taken = {record.path for record in validation}
    return Split([record for record in rest if record.path not in taken], validation, test)


def _mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of the folds that carry a figure; None where none does."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
