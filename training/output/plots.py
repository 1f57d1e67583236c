"""The images of a run folder. matplotlib draws, Pillow lays out the sheet of worst mistakes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

mpl.use("agg")
from matplotlib import pyplot as plt

from training.proof.line import shares
from training.proof.metrics import precision_recall

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TRAIN, _VALIDATION = "#4477aa", "#cc6677"
_TILE = 150


def curves(history: Sequence[dict[str, float]], best_epoch: int, path: Path) -> None:
    """Loss and accuracy over the epochs, train and validation, the kept epoch marked."""
    epochs = [row["epoch"] for row in history]
    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    for axis, what in zip(axes, ("loss", "accuracy"), strict=True):
        axis.plot(epochs, [row[f"train_{what}"] for row in history], color=_TRAIN, label="train (augmented)")
        axis.plot(
            epochs, [row[f"validation_{what}"] for row in history], color=_VALIDATION, label="validation"
        )
        axis.axvline(best_epoch, color="grey", linestyle=":", label=f"kept: epoch {best_epoch}")
        axis.set(xlabel="epoch", title=what)
        axis.grid(alpha=0.3)
        axis.legend()
    _save(figure, path)


def confusion(
    p: NDArray[np.float64], labels: NDArray[np.int64], threshold: float, path: Path, title: str
) -> None:
    """Counts of label against verdict at the threshold."""
    table = np.zeros((2, 2), int)
    np.add.at(table, (labels, (p >= threshold).astype(int)), 1)
    figure, axis = plt.subplots(figsize=(4.6, 4))
    axis.imshow(table / np.maximum(table.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    for row in range(2):
        for column in range(2):
            note = {(1, 0): "\nescapes", (0, 1): "\nfalse rejects"}.get((row, column), "")
            dark = table[row, column] > table[row].sum() / 2
            axis.text(
                column,
                row,
                f"{table[row, column]}{note}",
                ha="center",
                va="center",
                color="w" if dark else "k",
            )
    axis.set(xticks=[0, 1], yticks=[0, 1], xlabel="called", ylabel="is", title=title)
    axis.set_xticklabels(["no_defect", "defect"])
    axis.set_yticklabels(["no_defect", "defect"])
    _save(figure, path)


def precision_recall_curve(
    p: NDArray[np.float64], labels: NDArray[np.int64], path: Path, prevalence: float | None = None
) -> None:
    """Precision over recall of defects, on a line with `prevalence` where it is stated."""
    precision, recall = precision_recall(p, labels, prevalence)
    figure, axis = plt.subplots(figsize=(4.6, 4))
    axis.plot(recall, precision, color=_TRAIN)
    axis.set(
        xlabel="recall: share of defects caught", ylabel="precision", ylim=(0, 1.02), title=_title(prevalence)
    )
    axis.grid(alpha=0.3)
    _save(figure, path)


def reliability(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    labels: NDArray[np.int64],
    path: Path,
    prevalence: float | None = None,
) -> None:
    """Score against the share of defects among images with such a score, before and after calibration; where a
    prevalence is stated, after it alone and on a line with this share of defects."""
    figure, axis = plt.subplots(figsize=(4.6, 4))
    axis.plot([0, 1], [0, 1], color="grey", linestyle=":")
    weights = shares(labels, prevalence)
    drawn = ((before, _VALIDATION, "before"), (after, _TRAIN, "after calibration"))
    for p, colour, name in drawn if prevalence is None else drawn[1:]:
        place = np.minimum((p * 10).astype(int), 9)
        used = [i for i in range(10) if (place == i).sum() >= 5]
        axis.plot(
            [np.average(p[place == i], weights=weights[place == i]) for i in used],
            [np.average(labels[place == i], weights=weights[place == i]) for i in used],
            "o-",
            color=colour,
            label=name,
        )
    axis.set(xlabel="score", ylabel="share of defects", title=_title(prevalence))
    axis.grid(alpha=0.3)
    axis.legend()
    _save(figure, path)


def worst_mistakes(
    files: Sequence[Path], p: NDArray[np.float64], labels: NDArray[np.int64], threshold: float, path: Path
) -> None:
    """A sheet: up to twelve escapes with the lowest scores, then up to twelve false rejects with the
    highest."""
    called = p >= threshold
    escapes = [int(i) for i in np.argsort(p) if labels[i] == 1 and not called[i]][:12]
    rejects = [int(i) for i in np.argsort(-p) if labels[i] == 0 and called[i]][:12]
    rows = max(1, -(-len(escapes) // 6) + -(-len(rejects) // 6))
    sheet = Image.new("L", (6 * _TILE, rows * (_TILE + 16)), 255)
    draw = ImageDraw.Draw(sheet)
    if not escapes and not rejects:
        draw.text((10, 10), "no escapes and no false rejects in the test part", fill=0)
    row = 0
    for kind, chosen in (("escape", escapes), ("false reject", rejects)):
        for place, index in enumerate(chosen):
            x, y = place % 6 * _TILE, (row + place // 6) * (_TILE + 16)
            with Image.open(files[index]) as picture:
                tile = picture.convert("L")
            zoom = (_TILE - 4) / max(tile.size)
            size = (max(1, round(tile.width * zoom)), max(1, round(tile.height * zoom)))
            sheet.paste(tile.resize(size, Image.Resampling.BICUBIC), (x, y + 14))
            draw.text((x + 2, y + 1), f"{kind} {p[index]:.3f}", fill=0)
        row += -(-len(chosen) // 6)
    sheet.save(path)


def _title(prevalence: float | None) -> str:
    return "test part" + ("" if prevalence is None else f", for a line with {prevalence:.2%} defects")


def _save(figure: "Figure", path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)
