"""Judge a folder with an artifact, by the graph, the guard and the arithmetic that the worker serves with."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.contract.csv_cells import defused
from shared.contract.operating_point import OperatingPoint
from shared.contract.states import Reason, Verdict
from shared.errors import ItemError
from shared.registry.artifact import Artifact
from shared.vision.decision import calibrated_score, decide, reasons_for
from shared.vision.graph import Graph
from shared.vision.guard import Guard, guard_in
from shared.vision.kinds import Kinds, read_kinds
from shared.vision.preprocess import decode
from training.data.accepted import accepted
from training.data.records import Record, names_of, shown
from training.proof.metrics import Report, report

MICRO_BATCH = 32


def logits_of(graph: Graph, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits (N,) of pixels that are decoded already."""
    parts = [
        graph.logits(images[start : start + MICRO_BATCH]) for start in range(0, len(images), MICRO_BATCH)
    ]
    return np.concatenate(parts)


@dataclass(frozen=True)
class Judged:
    """An image's score; by the guard, if the artifact has one, why it is `unlike` the model's images and how far; and
    the kind of defect that it would most likely be, where the model knows kinds."""

    score: float
    unlike: tuple[Reason, ...] = ()
    unfamiliarity: float | None = None
    kind: str | None = None

    def verdict(self, point: OperatingPoint) -> Verdict:
        return decide(self.score, point, self.unlike)


Outcome = Judged | ItemError  # the error that the service would answer with


def judge_records(
    artifact: Artifact,
    records: Sequence[Record],
    *,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> list[Outcome]:
    """Judge each record as the service does. Raises ArtifactError where guard or kinds do not fit the graph."""
    graph, within = Graph(artifact, threads=threads), accepted()
    guard, kinds = _guard_and_kinds(artifact, graph)
    found: list[Outcome] = []
    for start in range(0, len(records), MICRO_BATCH):
        outcomes: list[NDArray[np.uint8] | ItemError] = []
        for record in records[start : start + MICRO_BATCH]:
            try:
                data = within.read(record.path)
                outcomes.append(decode(data, artifact.preprocessing, within.limits))
            except ItemError as error:
                outcomes.append(error)
        images = [outcome for outcome in outcomes if not isinstance(outcome, ItemError)]
        judged = _judged(artifact, graph, guard, kinds, np.stack(images)) if images else iter(())
        found += [outcome if isinstance(outcome, ItemError) else next(judged) for outcome in outcomes]
        if progress is not None:
            progress(len(found), len(records))
    return found


def _guard_and_kinds(artifact: Artifact, graph: Graph) -> tuple[Guard | None, Kinds | None]:
    spec = artifact.preprocessing
    _, tried = graph.logits_and_features(np.zeros((1, spec.height, spec.width, spec.channels), np.uint8))
    return guard_in(artifact, tried.shape[1]), read_kinds(artifact, tried.shape[1])


def _judged(
    artifact: Artifact, graph: Graph, guard: Guard | None, kinds: Kinds | None, images: NDArray[np.uint8]
) -> Iterator[Judged]:
    logits, features = graph.logits_and_features(images)
    scores = [calibrated_score(float(logit), artifact.calibration) for logit in logits]
    nothing: list[None] = [None] * len(images)
    unlike, far = guard.measure(images, features) if guard else ([()] * len(images), nothing)
    return map(Judged, scores, unlike, far, kinds.likely(features) if kinds else nothing)


def identified(records: Sequence[Record]) -> list[Record]:
    """The records with the sha256 of their bytes; empty for a file that the service would not read."""
    within, found = accepted(), []
    for record in records:
        try:
            identity = hashlib.sha256(within.read(record.path)).hexdigest()
        except ItemError:
            identity = ""
        found.append(replace(record, identity=identity))
    return found


def evaluate(artifact: Artifact, records: Sequence[Record], outcomes: Sequence[Outcome]) -> Report | None:
    """The report over the records that were judged; those that are unlike the model's images count as reviewed. None
    where the service would refuse all."""
    judged = [(r, each) for r, each in zip(records, outcomes, strict=True) if isinstance(each, Judged)]
    if not judged:
        return None
    _, groups = np.unique([record.group or str(record.path) for record, _ in judged], return_inverse=True)
    return report(
        np.array([each.score for _, each in judged]),
        np.array([record.label for record, _ in judged], np.int64),
        groups.astype(np.int64),
        artifact.operating_point,
        unlike=np.array([bool(each.unlike) for _, each in judged], np.bool_),
    )


_COLUMNS = (
    "file", "label", "group", "verdict", "reasons", "score", "threshold", "review_low", "review_high",
    "unfamiliarity", "kind", "error", "detail",
)  # fmt: skip


def write_results(
    path: Path, artifact: Artifact, records: Sequence[Record], outcomes: Sequence[Outcome]
) -> None:
    """A CSV in the order of the records, which are named below the folder of all; scores in full, so that they can be
    compared bit for bit."""
    point = artifact.operating_point
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_COLUMNS)
        for name, record, outcome in zip(names_of(records), records, outcomes, strict=True):
            label = "defect" if record.label else "no_defect"
            named = (defused(name), label, defused(shown(record.group)))
            if isinstance(outcome, ItemError):
                table.writerow((*named, *[""] * 8, outcome.code, defused(outcome.detail)))
                continue
            verdict = outcome.verdict(point)
            reasons = " ".join(reasons_for(outcome.score, point, outcome.unlike))
            far = "" if outcome.unfamiliarity is None else repr(outcome.unfamiliarity)
            kind = "" if outcome.unlike or verdict is Verdict.NO_DEFECT else outcome.kind or ""
            bounds = (point.threshold, point.review_low, point.review_high)
            table.writerow(
                (*named, verdict.value, reasons, repr(outcome.score), *bounds, far, defused(kind), "", "")
            )


def only_test_part(records: Sequence[Record], run: Path) -> list[Record]:
    """The identified records that the run's split.json names as its test part."""
    wanted = set(json.loads((run / "split.json").read_text())["test"])
    return [record for record in records if record.identity in wanted]
