"""The findings of a card, readable."""

from typing import Any

_NAMES = {
    "small": "the small network",
    "cascade": "a cascade of both",
    "features": "the pretrained features",
    "mean": "the mean of both",
}


def choice_lines(card: dict[str, Any]) -> list[str]:
    """Markdown on the network that serves and those it was chosen from; nothing where there was no choice."""
    choice = card.get("choice")
    if choice is None or "images_per_second" not in choice["candidates"]["small"]:
        return []
    candidates, served = choice["candidates"], choice["candidates"][choice["served"]]
    lines = [f"- Serves {_NAMES[choice['served']]}: {_figures(served)}."]
    if choice["served"] == "cascade":
        gain = choice["cascade"]["gain"]
        lines = [
            f"- A cascade serves: the fast network judges every image, and the strong one "
            f"{100 * choice['cascade']['share']:.1f} % of them, of which it is unsure. On held-out images it has "
            f"{_figures(served)}. Gain over the fast network alone: {100 * gain['accuracy']:+.2f} points of accuracy, "
            f"{gain['log_loss']:+.4f} of log loss, {gain['auroc']:+.4f} of AUROC."
        ]
    told = "; ".join(
        f"{_NAMES[name]} {_figures(row)}" for name, row in candidates.items() if row is not served
    )
    return [*lines, f"- The other candidates on the same images: {told}."]


def _figures(row: dict[str, float]) -> str:
    return (
        f"{100 * row['accuracy']:.2f} % right, log loss {row['log_loss']:.4f}, AUROC {row['auroc']:.4f}, "
        f"{row['images_per_second']:.0f} images/s on one core"
    )


def finding_lines(card: dict[str, Any]) -> list[str]:
    """Markdown; nothing for a card that was written before there were findings."""
    lines: list[str] = []
    for warning in card.get("warnings", []):
        lines += [f"**Warning:** {warning}.", ""]
    if card.get("robustness"):
        lines += ["## Other conditions", "", "The same threshold on changed images of the test part:", ""]
        lines += [
            "| change | images | accuracy | escapes | false rejects | review |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {name} | {row['images']} | {100 * row['accuracy']:.1f} % | {row['escapes']} | "
            f"{row['false_rejects']} | {100 * row['review_share']:.1f} % |"
            for name, row in card["robustness"].items()
        ]
        lines.append("")
    if card.get("risk_coverage"):
        lines += [
            "## Risk and coverage",
            "",
            "Errors among the images that are judged, when the least certain ",
        ]
        lines[-1] += "ones go to a person:"
        lines += ["", "| judged | errors |", "|---|---|"]
        lines += [
            f"| {100 * row['coverage']:.0f} % | {100 * row['error']:.2f} % |" for row in card["risk_coverage"]
        ]
        lines.append("")
    if card.get("label_doubts"):
        lines += [
            "## Labels to look at",
            "",
            "The model, which did not learn these images, contradicts their label:",
        ]
        lines += ["", "| file | label | score |", "|---|---|---|"]
        lines += [f"| {row['file']} | {row['label']} | {row['score']:.3f} |" for row in card["label_doubts"]]
        lines.append("")
    return lines
