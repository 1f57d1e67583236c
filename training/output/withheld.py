"""The figures of a card that its images do not support, and why."""

from shared.json_text import Card
from training.data.report import Report
from training.data.splits import Split
from training.trained import Trained

# Figures that mean nothing where scores are no probabilities.
NO_PROBABILITY = ("ece", "ece_low", "ece_high", "log_loss")
_ADVICE = "A `group` column or --part names the parts."


def known(figures: Card, trained: Trained, name: str) -> Card:
    """The figures of the `name` part that its images support: without the interval for new parts where parts may have
    been seen, without the errors of scores that are no probabilities here, and without accuracies where it shows one
    label alone: these would be the rate of one mistake."""
    unknown = ["accuracy_by_groups"] if why_not_new(trained.looked, trained.split, name) else []
    if not scores_are_probabilities(trained):
        unknown += NO_PROBABILITY
    if trained.shape.kind == "patches":
        unknown += ["accuracy_at_half"]
    if figures["defects"] in (0, figures["pictures"]):
        unknown += ["accuracy", "accuracy_by_groups", "accuracy_at_half", "average_precision"]
    return figures | dict.fromkeys(unknown)


def scores_are_probabilities(trained: Trained) -> bool:
    """Whether a score is the chance of a defect among images such as those of the folder. It is not where it is meant
    for another share of defects, and a model of good parts alone only orders images."""
    return trained.options.costs.prevalence is None and trained.shape.kind != "patches"


def why_not_new(looked: Report, split: Split, name: str) -> str:
    """Why the parts of the validation or the test part may have been seen before it is judged; empty where they are
    new."""
    other = looked.tested
    if not looked.knows_parts:
        why = "the data names none, and neither do the file names"
        if looked.named:
            why = f"those of {looked.named} images alone are named"
        return f"{why}, so a part may lie on both sides of the split. {_ADVICE}"
    if name == "test" and other is not None:
        unnamed = [each.folder for each in (looked, other) if not each.has_groups or each.views_tell]
        if unnamed:
            return (
                f"no table tells the parts of {' and '.join(unnamed)}, so a part may lie in both. {_ADVICE}"
            )
        shared = sorted(looked.part_names() & other.part_names())
        return _both_folders(shared, other.folder, looked.folder) if shared else ""
    # The parts of a cross-fitted set are one list: each of its images was judged by a model that had not seen its part.
    own, before = getattr(split, name), [split.train] + ([split.validation] if name == "test" else [])
    seen = {record.group for part in before if part is not own for record in part}
    if any(record.group in seen for record in own):
        return "images of one part lie on both sides of the split."
    return ""


def _both_folders(shared: list[str], test: str, train: str) -> str:
    told = ", ".join(shared[:3]) + (", …" if len(shared) > 3 else "")
    return f"{test} and {train} name the same parts ({len(shared)}: {told})."


def withheld_lines(looked: Report, split: Split) -> list[str]:
    """Sentences on the intervals for new parts that the card does not state."""
    reasons = {f"{name} part": why_not_new(looked, split, name) for name in ("validation", "test")}
    if len(set(reasons.values())) == 1:
        reasons = {"card": reasons["test part"]}
    return [
        f"The {name} gives no interval for new parts: {reason} Parts never seen may do worse; the interval "
        "over images holds for further images of the same parts."
        for name, reason in reasons.items()
        if reason
    ]
