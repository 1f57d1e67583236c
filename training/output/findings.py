"""The findings of a card, readable."""

from shared.json_text import Card


def finding_lines(card: Card) -> list[str]:
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
