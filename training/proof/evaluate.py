"""Score a folder with an artifact, by the graph and the arithmetic that the worker serves with."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.contract.csv_cells import defused
from shared.errors import ItemError
from shared.registry.artifact import Artifact
from shared.vision.decision import calibrated_score, decide
from shared.vision.graph import Graph
from shared.vision.preprocess import decode
from training.data.accepted import accepted
from training.data.records import Record, shown
from training.proof.metrics import Report, report

MICRO_BATCH = 32


def logits_of(graph: Graph, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits (N,) of pixels that are decoded already."""
    parts = [
        graph.logits(images[start : start + MICRO_BATCH]) for start in range(0, len(images), MICRO_BATCH)
    ]
    return np.concatenate(parts)


def score_records(
    artifact: Artifact,
    records: Sequence[Record],
    *,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> list[float | ItemError]:
    """A score for each record, or the error that the service would answer with for it."""
    graph, within = Graph(artifact, threads=threads), accepted()
    scores: list[float | ItemError] = []
    for start in range(0, len(records), MICRO_BATCH):
        outcomes: list[NDArray[np.uint8] | ItemError] = []
        for record in records[start : start + MICRO_BATCH]:
            try:
                data = within.read(record.path)
                outcomes.append(decode(data, artifact.preprocessing, within.limits))
            except ItemError as error:
                outcomes.append(error)
        images = [outcome for outcome in outcomes if not isinstance(outcome, ItemError)]
        logits: Iterator[np.float32] = iter(graph.logits(np.stack(images)) if images else ())
        for outcome in outcomes:
            if isinstance(outcome, ItemError):
                scores.append(outcome)
            else:
                scores.append(calibrated_score(float(next(logits)), artifact.calibration))
        if progress is not None:
            progress(len(scores), len(records))
    return scores


def evaluate(artifact: Artifact, records: Sequence[Record], scores: Sequence[float | ItemError]) -> Report:
    """The report over the records that got a score."""
    scored = [(r, s) for r, s in zip(records, scores, strict=True) if not isinstance(s, ItemError)]
    _, groups = np.unique([record.group or str(record.path) for record, _ in scored], return_inverse=True)
    return report(
        np.array([score for _, score in scored]),
        np.array([record.label for record, _ in scored], np.int64),
        groups.astype(np.int64),
        artifact.operating_point,
    )


def write_results(
    path: Path, artifact: Artifact, records: Sequence[Record], scores: Sequence[float | ItemError]
) -> None:
    """A CSV in the order of the records; score in full, so that it can be compared bit for bit."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("file", "label", "group", "verdict", "score", "threshold", "error"))
        for record, score in zip(records, scores, strict=True):
            named = (
                defused(shown(record.path.name)),
                "defect" if record.label else "no_defect",
                defused(shown(record.group)),
            )
            if isinstance(score, ItemError):
                table.writerow((*named, "", "", "", score.code))
                continue
            verdict = decide(score, artifact.operating_point).value
            threshold = artifact.operating_point.threshold
            table.writerow((*named, verdict, repr(score), threshold, ""))


def only_test_part(records: Sequence[Record], run: Path) -> list[Record]:
    """The records whose bytes the run's split.json names as its test part."""
    wanted = set(json.loads((run / "split.json").read_text())["test"])
    return [r for r in records if hashlib.sha256(r.path.read_bytes()).hexdigest() in wanted]
