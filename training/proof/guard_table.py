"""The guard's tables on the quality page: the share of other images, and of changed own ones, that goes to review."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from shared.registry.artifact import Artifact, read_artifact
from shared.registry.versions import shipped
from shared.vision.graph import Graph
from shared.vision.guard import read_guard
from shared.vision.preprocess import decode
from training.data.load import load
from training.guarding import parts_of
from training.proof.guard_images import CHANGES, FRAMES
from training.proof.protocols import PROTOCOLS, present, slug
from training.synthetic.render import render

START, END = "<!-- guard -->", "<!-- /guard -->"
OWN_SEED = 13  # of no set that a shipped model was trained or tested on
_BATCH = 64
Shares = dict[str, float]


def write_guard_tables(data: Path, runs: Path, page: Path, *, count: int, say: Callable[[str], None]) -> None:
    """Measure the guard of each shipped model on at most `count` images a row, and put the tables into `page`.

    The images are drawn here, or come from folders and packages that are present; a row without images has a dash.
    """
    artifacts = {path.stem: read_artifact(path) for path in shipped()}
    own = {
        name: _spread(own_images(artifact, data, runs, count), count) for name, artifact in artifacts.items()
    }
    shares: dict[str, tuple[Shares, Shares]] = {}
    for name, artifact in artifacts.items():
        others = {
            "the other shipped model's images": [f for n, files in own.items() if n != name for f in files]
        }
        for set_name in ("casting_product", "elpv"):
            folder = present(set_name, data, runs)
            if folder is not None:
                others[set_name] = _spread([record.path for record in load(folder)], count)
        shares[name] = measure(artifact, own[name], others, count)
        say(f"{name}: measured {len(shares[name][0])} kinds of images and {len(shares[name][1])} changes")
    text = page.read_text() if page.exists() else ""
    page.write_text(with_section(text, _section(shares, count)))


def own_images(artifact: Artifact, data: Path, runs: Path, count: int) -> list[Path]:
    """Images of the model's own kind that it was not fitted on; empty where its set is not present."""
    protocol = next(each for each in PROTOCOLS if (each.model or slug(each.name)) == artifact.name)
    if protocol.folder == "rendered":
        drawn = runs / f"guard-own-{count}"
        if not (drawn / "images.csv").exists():
            render(drawn, count=count, seed=OWN_SEED)
        return [record.path for record in load(drawn)]
    folder = present(protocol.folder, data, runs)
    return [] if folder is None else [record.path for record in parts_of(artifact, folder)[2]]


def measure(
    artifact: Artifact, own: Sequence[Path], others: Mapping[str, Sequence[Path]], count: int
) -> tuple[Shares, Shares]:
    """The flagged share, 0 to 1, of each kind of images, and of each change of the own images.

    Kinds without images are left out. Raises ValueError where the artifact has no guard.
    """
    stored = artifact.guard()
    if stored is None:
        raise ValueError(f"{artifact.name} has no guard")
    guard, graph = read_guard(stored, artifact.preprocessing), Graph(artifact, threads=1)

    def share(files: Iterable[bytes]) -> float:
        flagged: list[bool] = []
        rest = iter(files)
        while batch := list(islice(rest, _BATCH)):
            images = np.stack([decode(file, artifact.preprocessing) for file in batch])
            reasons = guard.judge(images, graph.logits_and_features(images)[1])
            flagged += [bool(found) for found in reasons]
        return float(np.mean(flagged))

    rng = np.random.default_rng(5)
    kinds = {"own images, not seen in training": own, **others}
    found = {name: share(path.read_bytes() for path in files) for name, files in kinds.items() if files}
    found |= {name: share(map(as_png, frames(rng, count))) for name, frames in FRAMES.items()}
    changed: Shares = {}
    if own:
        images = [opened(path) for path in own]
        for name, change in CHANGES.items():
            changed[name] = share(as_png(change(image, rng)) for image in images)
    return found, changed


def with_section(page: str, section: str) -> str:
    """The page with `section` between the guard's two marks; a page without marks gets them at its end."""
    before, mark, after = page.partition(START)
    rest = after.partition(END)[2] if mark else "\n"
    return f"{before.rstrip()}\n\n{START}\n{section}\n{END}{rest}"


def kept_part(page: str) -> str:
    """The guard's section and all that follows it, which a new table of the sets must not drop."""
    _, mark, after = page.partition(START)
    return mark + after


def _section(shares: Mapping[str, tuple[Shares, Shares]], count: int) -> str:
    return "\n".join(
        [
            "## The guard: which images go to review",
            "",
            "Share of images that the guard of each shipped model flags, written by "
            f"`python -m training quality --guard --guard-images {count}`: at most {count} images a row.",
            "",
            *_table("images", {name: kinds for name, (kinds, _) in shares.items()}),
            "",
            "Own images, changed step by step (radii in pixels of an image 300 pixels wide):",
            "",
            *_table("change", {name: changes for name, (_, changes) in shares.items()}),
        ]
    )


def _table(title: str, columns: Mapping[str, Shares]) -> list[str]:
    rows = dict.fromkeys(row for column in columns.values() for row in column)
    lines = [f"| {title} | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    for row in rows:
        cells = (
            f"{column[row]:.1%}".replace("%", " %") if row in column else "-" for column in columns.values()
        )
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


def _spread(files: Sequence[Path], count: int) -> list[Path]:
    """At most `count` of the files, evenly over the list."""
    places = np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)
    return [files[place] for place in places]


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("L")


def as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
