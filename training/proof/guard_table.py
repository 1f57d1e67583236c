"""The guard's tables on the quality page: the share of other images, and of changed own ones, that goes to review, and
the changed defects that the model passes all the same."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from shared.contract.states import Verdict
from shared.registry.artifact import Artifact, read_artifact
from shared.registry.versions import shipped
from shared.vision.decision import calibrated_score, decide
from shared.vision.graph import Graph
from shared.vision.guard import read_guard
from shared.vision.preprocess import decode
from training.data.load import load
from training.data.records import Record
from training.guarding import parts_of
from training.proof.guard_images import CHANGES, FRAMES
from training.proof.protocols import PROTOCOLS, present, slug
from training.synthetic.render import render

START, END = "<!-- guard -->", "<!-- /guard -->"
OWN_SEED = 13  # of no set that a shipped model was trained or tested on
_BATCH = 64
Shares = dict[str, float]


@dataclass
class Changed:
    """By the name of a change: the flagged share of all images, 0 to 1, and the defects that got `no_defect`."""

    flagged: Shares = field(default_factory=dict)
    passed: dict[str, int] = field(default_factory=dict)
    defects: int = 0


def write_guard_tables(data: Path, runs: Path, page: Path, *, count: int, say: Callable[[str], None]) -> None:
    """Measure the guard of each shipped model on at most `count` images a row, and put the tables into `page`.

    The images are drawn here, or come from folders and packages that are present; a row without images has a dash.
    """
    artifacts = {path.stem: read_artifact(path) for path in shipped()}
    own = {
        name: _spread(own_images(artifact, data, runs, count), count) for name, artifact in artifacts.items()
    }
    shares: dict[str, tuple[Shares, Changed]] = {}
    for name, artifact in artifacts.items():
        others = {
            "the other shipped model's images": [
                record.path for n, records in own.items() if n != name for record in records
            ]
        }
        for set_name in ("casting_product", "elpv"):
            folder = present(set_name, data, runs)
            if folder is not None:
                others[set_name] = [record.path for record in _spread(load(folder), count)]
        shares[name] = measure(artifact, own[name], others, count)
        say(
            f"{name}: measured {len(shares[name][0])} kinds of images and {len(shares[name][1].flagged)} changes"
        )
    text = page.read_text() if page.exists() else ""
    page.write_text(with_section(text, _section(shares, count)))


def own_images(artifact: Artifact, data: Path, runs: Path, count: int) -> list[Record]:
    """Labelled images of the model's own kind that it was not fitted on; empty where its set is not present."""
    protocol = next(each for each in PROTOCOLS if (each.model or slug(each.name)) == artifact.name)
    if protocol.folder == "rendered":
        drawn = runs / f"guard-own-{count}"
        if not (drawn / "images.csv").exists():
            render(drawn, count=count, seed=OWN_SEED)
        return load(drawn)
    folder = present(protocol.folder, data, runs)
    return [] if folder is None else list(parts_of(artifact, folder)[2])


def measure(
    artifact: Artifact, own: Sequence[Record], others: Mapping[str, Sequence[Path]], count: int
) -> tuple[Shares, Changed]:
    """The flagged share, 0 to 1, of each kind of images, and the outcome of each change of the own images.

    Kinds without images are left out. Raises ValueError where the artifact has no guard.
    """
    stored = artifact.guard()
    if stored is None:
        raise ValueError(f"{artifact.name} has no guard")
    guard, graph = read_guard(stored, artifact.preprocessing), Graph(artifact, threads=1)

    def verdicts(files: Iterable[bytes]) -> list[tuple[bool, Verdict]]:
        """Whether the guard flags each image, and its verdict."""
        found: list[tuple[bool, Verdict]] = []
        rest = iter(files)
        while batch := list(islice(rest, _BATCH)):
            images = np.stack([decode(file, artifact.preprocessing) for file in batch])
            logits, features = graph.logits_and_features(images)
            for logit, reasons in zip(logits, guard.judge(images, features), strict=True):
                score = calibrated_score(float(logit), artifact.calibration)
                found.append((bool(reasons), decide(score, artifact.operating_point, reasons)))
        return found

    def share(files: Iterable[bytes]) -> float:
        return float(np.mean([flagged for flagged, _ in verdicts(files)]))

    rng = np.random.default_rng(5)
    kinds = {"own images, not seen in training": [record.path for record in own], **others}
    found = {name: share(path.read_bytes() for path in files) for name, files in kinds.items() if files}
    found |= {name: share(map(as_png, frames(rng, count))) for name, frames in FRAMES.items()}
    changed = Changed(defects=sum(record.label for record in own))
    images = [opened(record.path) for record in own]
    for name, change in CHANGES.items() if own else ():
        judged = verdicts(as_png(change(image, rng)) for image in images)
        changed.flagged[name] = float(np.mean([flagged for flagged, _ in judged]))
        changed.passed[name] = sum(
            record.label and verdict is Verdict.NO_DEFECT
            for record, (_, verdict) in zip(own, judged, strict=True)
        )
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


def _section(shares: Mapping[str, tuple[Shares, Changed]], count: int) -> str:
    return "\n".join(
        [
            "## The guard: which images go to review",
            "",
            "Share of images that the guard of each shipped model flags, written by "
            f"`python -m training quality --guard --guard-images {count}`: at most {count} images a row.",
            "",
            *_table("images", {name: _percents(kinds) for name, (kinds, _) in shares.items()}),
            "",
            "Own images, changed step by step (radii in pixels of an image 300 pixels wide): the share that the guard "
            "flags, and behind it the defects that got `no_defect` all the same.",
            "",
            *_table("change", {name: _outcomes(changed) for name, (_, changed) in shares.items()}),
        ]
    )


def _percents(shares: Shares) -> dict[str, str]:
    return {name: f"{share:.1%}".replace("%", " %") for name, share in shares.items()}


def _outcomes(changed: Changed) -> dict[str, str]:
    return {
        name: f"{percent}, {changed.passed[name]} of {changed.defects}"
        for name, percent in _percents(changed.flagged).items()
    }


def _table(title: str, columns: Mapping[str, Mapping[str, str]]) -> list[str]:
    rows = dict.fromkeys(row for column in columns.values() for row in column)
    lines = [f"| {title} | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    lines += [
        f"| {row} | {' | '.join(column.get(row, '-') for column in columns.values())} |" for row in rows
    ]
    return lines


def _spread(records: Sequence[Record], count: int) -> list[Record]:
    """At most `count` of the records, evenly over the list."""
    places = np.linspace(0, len(records) - 1, min(count, len(records))).astype(int)
    return [records[place] for place in places]


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("L")


def as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
