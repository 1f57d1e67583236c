"""The readable card, CARD.md, made from card.json alone, so that both say the same."""

from shared.json_text import Card
from training.output.candidates import choice_lines
from training.output.findings import finding_lines

_BY_GROUPS = "the same for new parts, by whole groups"
_RESAMPLED = "the same, whole groups resampled"  # in cards that were written before the interval was Wilson's


def readable(card: Card) -> str:
    """Markdown for a person who has to decide whether this model may judge their parts."""
    lines = [*_training_lines(card), "", *_result_lines(card)]
    own = ", with the share of defects that it has itself," if _prevalence(card) is not None else ""
    lines += [
        *_prevalence_lines(card),
        *_before_lines(card["before_calibration"]),
        "",
        f"Accuracy on the same test part{own} of {_blind(card['baselines'])} alone: "
        + ", ".join(f"{name} {_percent(value)}" for name, value in sorted(card["baselines"].items()))
        + ".",
        "",
        *finding_lines(card),
        *_guard_lines(card),
        *_guess_lines(card),
        "## Limits",
        "",
        card["limits"],
        "",
        "## Versions",
        "",
        ", ".join(f"{name} {version}" for name, version in sorted(card["versions"].items())),
        "",
    ]
    if card.get("notice"):
        lines += ["## Notice", "", card["notice"], ""]
    return "\n".join(lines)


def _training_lines(card: Card) -> list[str]:
    data, pre = card["data"], card["preprocessing"]
    colour = "grey" if pre["channels"] == 1 else "colour"
    return [
        f"# {card['name']}",
        "",
        card["use"],
        "",
        "## Training",
        "",
        f"- Data: {data['folder']}, {data['images']} images ({data['defect']} defect, "
        f"{data['no_defect']} no_defect), {data['groups']} groups; split: {data['split']}.",
        f"- Train, validation, test: {data['train']}, {data['validation']}, {data['test']} images. "
        f"sha256 of the test part's ids: `{data['test_sha256']}`; this is scoring {data['test_scorings']} of it.",
        f"- Every image becomes {pre['width']} x {pre['height']} pixels, {colour}.",
        f"- Network: {card['multiplications'] / 1e6:.1f} million multiply-adds an image, "
        f"{card['weights']:,} weights; {card['speed']['images_per_second']:.0f} images/s on one core when measured.",
        *_again_lines(card),
        *choice_lines(card),
        f"- Training: {card['training']['seconds'] / 60:.1f} minutes (wall clock), "
        f"{card['training']['cpu_seconds'] / 60:.1f} CPU minutes, epoch {card['training']['best_epoch']} of "
        f"{card['training']['plan']['epochs']} kept; ended: {card['training']['stop_reason']}.",
        *_promise_lines(card),
    ]


def _result_lines(card: Card) -> list[str]:
    point, prevalence = card["operating_point"], _prevalence(card)
    line = "" if prevalence is None else f" on a line with {_percent(prevalence)} defects"
    lines = [
        "## Results",
        "",
        f"Threshold {point['threshold']:.3f}, review from {point['review_low']:.3f} to {point['review_high']:.3f}; "
        f"chosen on {_chosen_on(card)} ({card['costs']}).",
        "",
        "| | validation | test |",
        "|---|---|---|",
    ]
    for title, name in (
        (f"accuracy at the threshold{line} (95 % interval)", "accuracy"),
        (_BY_GROUPS if "ece_low" in card["test"] else _RESAMPLED, "accuracy_by_groups"),
        ("the same over images, were both mistakes to cost the same (threshold 0.5)", "accuracy_at_half"),
        ("escape rate: defects called good", "escape_rate"),
        ("false-reject rate: good parts called defect", "false_reject_rate"),
    ):
        if all(card[part].get(name) is None for part in ("validation", "test")):
            continue
        cells = [_interval(card[part][name]) for part in ("validation", "test")]
        lines.append(f"| {title} | {cells[0]} | {cells[1]} |")
    for title, name in (
        ("images", "pictures"),
        ("groups", "groups"),
        ("escapes", "escapes"),
        ("false rejects", "false_rejects"),
        ("sent to review", "reviewed"),
        ("escapes left after review", "escapes_after_review"),
        ("false rejects left after review", "false_rejects_after_review"),
        ("AUROC", "auroc"),
        ("average precision", "average_precision"),
        ("calibration error (ECE, 15 bins)", "ece"),
        ("log loss", "log_loss"),
    ):
        cells = [_figure(card[part], name) for part in ("validation", "test")]
        lines.append(f"| {title} | {cells[0]} | {cells[1]} |")
    return lines + _kind_lines(card["test"].get("kinds", {}))


def _prevalence(card: Card) -> float | None:
    """The share of defects that a person stated for the line; cards of before keep it in `costs` alone."""
    stated: float | None = card.get("prevalence")
    return stated


def _prevalence_lines(card: Card) -> list[str]:
    prevalence = _prevalence(card)
    if prevalence is None:
        return []
    return [
        "",
        "Accuracies, average precision, *Other conditions* and *Risk and coverage* are those of a line with "
        f"{_percent(prevalence)} defects; counts are those of the images. To call none a defect would be right for "
        f"{_percent(1 - prevalence)} of the line.",
    ]


def _before_lines(before: Card) -> list[str]:
    if before["log_loss"] is None:
        return []
    return [
        "",
        f"Before calibration the test part's ECE was {_number(before['ece'])} and its log loss "
        f"{_number(before['log_loss'])}.",
    ]


def _blind(baselines: dict[str, float]) -> str:
    if "image_size" in baselines:
        return "models that see brightness, place, the border, or the size of the file or of the image"
    if "border" in baselines:
        return "models that see brightness, place, the border or the size of the file"
    return "two models that see brightness or place"


def _kind_lines(kinds: dict[str, dict[str, int]]) -> list[str]:
    if not kinds:
        return []
    lines = ["", "| kind of defect | images | escapes | left after review |", "|---|---|---|---|"]
    return lines + [
        f"| {kind} | {row['images']} | {row['escapes']} | {row['escapes_after_review']} |"
        for kind, row in kinds.items()
    ]


def _again_lines(card: Card) -> list[str]:
    again = card.get("scored_again")
    if again is None:
        return []
    share, copies = _percent(again["share_of_validation"]), card["network"]["mirrors"]
    return [
        f"- Only unsure images ({share} of the validation part) are scored in {copies} mirrored copies and averaged."
    ]


def _chosen_on(card: Card) -> str:
    own = ", the lower bound of review on the parts of the promise" if "promise" in card["training"] else ""
    return f"the validation part{own}"


def _promise_lines(card: Card) -> list[str]:
    promise = card["training"].get("promise")
    if promise is None:
        return []
    most, confidence = _percent(promise["max_escape_rate"]), _percent(promise["confidence"])
    return [
        f"- Promise: at most {most} escapes at {confidence} confidence. {promise['parts']} defective parts, of which "
        f"{promise['missed']} may be missed, chose the score from which review begins, and nothing else. The "
        "validation part chose epoch, network, calibration and the rest of the operating point."
    ]


def _guard_lines(card: Card) -> list[str]:
    guard = card.get("guard")
    if guard is None:
        return []
    return [
        "## Guard",
        "",
        "An image unlike those of the training part goes to review, whatever its score. The guard "
        f"flags {_percent(guard['flagged_of_validation'])} of {_held(guard)}, where its bounds were set, and "
        f"{_tested(guard)}. The figures above are those of the score alone.",
        "",
    ]


def _held(guard: Card) -> str:
    """The images that set the bounds; cards of before do not count them."""
    return f"{guard['held']} held-out images" if "held" in guard else "the validation part"


def _tested(guard: Card) -> str:
    if guard["flagged_of_test"] is None:
        return "no other images were left to count on: of fresh ones it may flag many more"
    return f"{_percent(guard['flagged_of_test'])} of the test part"


def _guess_lines(card: Card) -> list[str]:
    kinds = card.get("kinds")
    if kinds is None:
        return []
    return [
        "## Kinds of defects",
        "",
        "Defects and images in review bear a guess of their kind, which never moves a verdict: "
        f"{', '.join(kinds['names'])}. It is right for {_percent(kinds['right_of_validation'])} of the defects of "
        f"these kinds in the validation part, where the most frequent kind alone would be right for "
        f"{_percent(kinds['most_frequent_of_validation'])}, and {_guessed(kinds)}.",
        "",
    ]


def _guessed(kinds: Card) -> str:
    if kinds["right_of_test"] is None:
        return "no other defects were left to count on: of fresh ones it may be right less often"
    return f"for {_percent(kinds['right_of_test'])} of the {kinds['defects_of_test']} of the test part"


def _interval(entry: dict[str, float | None] | None) -> str:
    if entry is None:
        return "unknown, see the limits"
    if entry["value"] is None:
        return "none"
    return f"{_percent(entry['value'])} ({_percent(entry['low'])} to {_percent(entry['high'])})"


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.2f} %"


def _figure(figures: Card, name: str) -> str:
    """The calibration error has an interval, and none at all where too few images carry it."""
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    return _number(figures[name]) + ("" if low is None else f" ({_number(low)} to {_number(high)})")


def _number(value: float | int | None) -> str:
    if value is None:
        return "none"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
