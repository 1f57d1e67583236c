"""The results of `evaluate`, as lines for a person and as JSON for a program."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from shared.contract.doubts import many_unfamiliar
from shared.errors import ItemError
from shared.json_text import Card
from shared.registry.artifact import Artifact
from training.data.records import Record, name_of, names_of, root_of
from training.data.report import listed_line
from training.output.withheld import NO_PROBABILITY
from training.proof.evaluate import Judged, Outcome
from training.proof.metrics import Report


def left_out_lines(records: Sequence[Record], both: Collection[str], folder: Path) -> list[str]:
    """The images whose identities bear `both` labels; no line where there are none."""
    names = sorted(name_of(record.path, root_of(folder)) for record in records if record.identity in both)
    return listed_line("same image, both labels, left out", names)


def told(
    artifact: Artifact,
    report: Report | None,
    records: Sequence[Record],
    outcomes: Sequence[Outcome],
    *,
    by_parts: bool,
) -> Card:
    """JSON-ready. Figures over parts are None where nothing tells the parts of nearly all images (`by_parts`), and
    those of scores as probabilities where they are none."""
    card: Card = {"pictures": 0}
    if report is not None:
        unknown = [] if by_parts else ["groups", "accuracy_by_groups"]
        if only_orders(artifact):
            unknown += ["accuracy_at_half", *NO_PROBABILITY]
        card = report.as_card() | dict.fromkeys(unknown)
    refused = [
        {"file": name, "code": outcome.code, "detail": outcome.detail}
        for name, outcome in zip(names_of(records), outcomes, strict=True)
        if isinstance(outcome, ItemError)
    ]
    warnings = [] if report is None else _warnings(report, outcomes)
    return {**card, "unfamiliar": _unlike(outcomes), "warnings": warnings, "refused": refused}


def result_lines(
    artifact: Artifact,
    report: Report | None,
    records: Sequence[Record],
    outcomes: Sequence[Outcome],
    *,
    by_parts: bool,
) -> list[str]:
    """The figures of the folder, what the service would refuse in it, and whether it is unlike the model's images."""
    scored = 0 if report is None else report.pictures
    groups = f", {report.groups} groups" if report is not None and by_parts else ""
    lines = [
        f"{scored} images scored, {len(records) - scored} refused{groups}",
        *_refused_lines(records, outcomes),
    ]
    if report is None:
        return lines
    prevalence = artifact.card.get("prevalence")
    if prevalence is not None:
        lines.append(
            f"scores and threshold are for a line with {prevalence:.2%} defects; accuracy and ECE are those of this "
            f"folder, with {report.defects / report.pictures:.2%}"
        )
    over_parts = f"; by groups {report.accuracy_by_groups}" if by_parts else ""
    # A model of good parts alone orders images, and its scores are no probabilities.
    at_half, ece = f"; at 0.5 {report.accuracy_at_half}", f"; ECE {report.ece:.4f}"
    if only_orders(artifact):
        at_half = ece = ""
    elif math.isnan(report.ece):
        ece = "; ECE none for so few images"
    return [
        *lines,
        *_review_lines(artifact, report, outcomes),
        f"by the score alone, accuracy {report.accuracy}{over_parts}{at_half}",
        f"escapes {report.escapes} of {report.defects}: {report.escape_rate}",
        f"false rejects {report.false_rejects}: {report.false_reject_rate}",
        ("AUROC none" if math.isnan(report.auroc) else f"AUROC {report.auroc:.4f}") + ece,
    ]


def only_orders(artifact: Artifact) -> bool:
    """Whether the model has learned good parts alone."""
    return bool(artifact.card.get("network", {}).get("kind") == "patches")


def _refused_lines(records: Sequence[Record], outcomes: Sequence[Outcome]) -> list[str]:
    names: dict[str, list[str]] = {}
    for name, outcome in zip(names_of(records), outcomes, strict=True):
        if isinstance(outcome, ItemError):
            names.setdefault(outcome.code, []).append(name)
    return [line for code, found in names.items() for line in listed_line(f"  {code}", found)]


def _review_lines(artifact: Artifact, report: Report, outcomes: Sequence[Outcome]) -> list[str]:
    """Count the verdicts as the service gives them, and warn where many images are unlike those of the model."""
    counts = Counter(
        outcome.verdict(artifact.operating_point).value for outcome in outcomes if isinstance(outcome, Judged)
    )
    verdicts = ", ".join(f"{name} {counts[name]}" for name in ("defect", "no_defect", "review"))
    unlike = _unlike(outcomes)
    because = f", of which {unlike} because they are unlike the images of the model" if unlike else ""
    return [
        f"verdicts: {verdicts}{because}; without a look pass {report.escapes_after_review} defects, and "
        f"{report.false_rejects_after_review} good parts are rejected",
        *(f"warning: {warning}" for warning in _warnings(report, outcomes)),
    ]


def _warnings(report: Report, outcomes: Sequence[Outcome]) -> list[str]:
    unlike = _unlike(outcomes)
    if not many_unfamiliar(unlike, report.pictures):
        return []
    return [
        f"{unlike} of {report.pictures} images are unlike those that this model was trained on; its scores mean little "
        "for them"
    ]


def _unlike(outcomes: Sequence[Outcome]) -> int:
    return sum(bool(outcome.unlike) for outcome in outcomes if isinstance(outcome, Judged))
