"""The network that serves and those that it was chosen from, readable."""

from shared.json_text import Card

_NAMES = {
    "small": "the small network",
    "cascade": "a cascade of both",
    "features": "the pretrained features",
    "mean": "the mean of both",
}


def choice_lines(card: Card) -> list[str]:
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
    return [
        *lines,
        f"- The other candidates on the same images: {told}. These images, held out, also set the scale of each "
        "candidate; the figures under Results have the scale that serves.",
    ]


def _figures(row: dict[str, float]) -> str:
    return (
        f"{100 * row['accuracy']:.2f} % right, log loss {row['log_loss']:.4f}, AUROC {row['auroc']:.4f}, "
        f"{row['images_per_second']:.0f} images/s on one core"
    )
