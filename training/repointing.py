"""Choose an artifact's threshold and review band again, by the usual costs of mistakes: the model stays as it is."""

from dataclasses import asdict
from pathlib import Path

from shared.json_text import Card
from shared.registry.artifact import Artifact
from shared.vision.graph import Graph
from training.artifacts import artifact_at
from training.data.decoded import labels_of
from training.data.pixels import decode_files
from training.data.records import DataError, Source
from training.guarding import parts_of, rewritten
from training.options import Options
from training.output.facts import asked
from training.progress import Progress, Say, no_progress
from training.proof.calibrate import scores
from training.proof.evaluate import logits_of
from training.proof.kinds import by_kind
from training.proof.metrics import report
from training.proof.operating_point import Costs, choose


def add_point(
    path: Path,
    folder: Path | Source,
    output: Path,
    *,
    test_folder: Path | Source | None = None,
    threads: int = 1,
    say: Say = print,
    progress: Progress = no_progress,
) -> Artifact:
    """Write the artifact again with the threshold and the review band that the usual costs give on the validation part.

    The figures of its card are those at the new point; all else is unchanged. Raises DataError as `add_guard` does,
    and for an artifact that makes a promise, which holds at its own point only.
    """
    artifact = unpromised(path)
    _, *parts = parts_of(artifact, folder, test_folder, progress)
    graph = Graph(artifact, threads=threads)
    scored = []
    for part in parts:
        images = decode_files([record.path for record in part], artifact.preprocessing, threads=threads)
        scored.append((scores(logits_of(graph, images), artifact.calibration), *labels_of(part)))
    line = prevalence_of(artifact)
    options = Options(name=artifact.name, output=output, costs=Costs(prevalence=line))
    (p, labels, _), (on_test, *_) = scored
    point = choose(p, labels, options.costs)
    validation, test = (
        withheld(report(*each, point, prevalence=line).as_card(), artifact.card[name])
        for name, each in zip(("validation", "test"), scored, strict=True)
    )
    test["kinds"] = by_kind(parts[1], on_test, point)
    card = artifact.card | {
        "operating_point": asdict(point), **asked(options), "validation": validation, "test": test,
        "metrics": {name: test[name] for name in artifact.card["metrics"]},
    }  # fmt: skip
    written = rewritten(artifact, output, card, operating_point=point)
    say(
        f"threshold {point.threshold:.4f}, review from {point.review_low:.4f} to {point.review_high:.4f}: of the test "
        f"part {test['reviewed']} of {len(on_test)} go to review, and {test['escapes_after_review']} escapes are left"
    )
    say(f"{written.path}  sha256 {written.sha256}")
    return written


def unpromised(path: Path) -> Artifact:
    """Raises DataError for an artifact that makes a promise, which holds for its own scores and at its own point."""
    artifact = artifact_at(path)
    if artifact.promise is not None:
        raise DataError(f"{artifact.name} promises a rate of escapes at its operating point")
    return artifact


def prevalence_of(artifact: Artifact) -> float | None:
    """The share of defects that the scores are meant for, or None for that of the folder.

    Raises DataError for an older card, which has it in words alone: the figures that it withholds tell of it.
    """
    found: float | None = artifact.card.get("prevalence")
    if found is None and artifact.card["validation"]["log_loss"] is None:
        raise DataError(
            f"the card of {artifact.name} does not name its prevalence as a number: train it again"
        )
    return found


def withheld(figures: Card, before: Card) -> Card:
    """A figure that the card withholds, such as an interval for new parts where parts are unknown, stays withheld."""
    return {name: None if before.get(name, value) is None else value for name, value in figures.items()}
