"""Give an artifact a guard, the guess of a defect's kind, or the reference for drift: the model stays as it is, and the
folder that it was trained on shows how images look."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from shared.json_text import Card
from shared.registry.artifact import Artifact, write_artifact
from shared.vision.graph import Graph
from training.artifacts import artifact_at
from training.data.check import check
from training.data.choose import choose_split
from training.data.pixels import decode_files
from training.data.records import DataError, Record, Source
from training.data.splits import CROSSED, part_hash
from training.fit.guarded import guard_for
from training.fit.kinds import LEAST, kinds_for
from training.fit.reference import reference_for
from training.kept_apart import keep_families_apart
from training.options import Options
from training.output.card import readable
from training.progress import Progress, Say, no_progress
from training.proof.operating_point import Costs


def add_guard(
    path: Path,
    folder: Path | Source,
    output: Path,
    *,
    test_folder: Path | Source | None = None,
    threads: int = 1,
    say: Say = print,
    progress: Progress = no_progress,
) -> Artifact:
    """Write the artifact again with a guard and a self-test; weights, calibration and operating point are unchanged.

    The split is made as the training made it. Raises DataError where the folder gives another test part than the
    artifact's card names, or the card names none.
    """
    artifact = artifact_at(path)
    train, validation, test = parts_of(artifact, folder, test_folder, progress)
    graph = Graph(artifact, threads=threads)
    images = [
        decode_files([record.path for record in part], artifact.preprocessing, threads=threads)
        for part in (train, validation, test)
    ]
    say(f"fitting the guard on {len(train)} images, bounds on {len(validation)}")
    guarded = guard_for(graph, artifact, *images, seed=int(artifact.card["training"]["seed"]))
    labels = np.array([record.label for record in (*validation, *test)])
    unseen = np.concatenate(images[1:])
    reference = reference_for(graph, artifact, guarded.guard, artifact.calibration, unseen, labels)
    card = artifact.card | {"guard": guarded.card, "reference": reference}
    written = rewritten(artifact, output, card, guard=guarded.guard, self_test=guarded.self_test)
    say(f"flagged: {guarded.card['flagged_of_validation']:.2%} of the validation part, "
        f"{guarded.card['flagged_of_test']:.2%} of the test part")  # fmt: skip
    say(f"{written.path}  sha256 {written.sha256}")
    return written


def add_kinds(
    path: Path,
    folder: Path | Source,
    output: Path,
    *,
    test_folder: Path | Source | None = None,
    threads: int = 1,
    say: Say = print,
    progress: Progress = no_progress,
) -> Artifact:
    """Write the artifact again with the guess of a defect's kind; all else is unchanged.

    Raises DataError as `add_guard` does, and where the folder names too few kinds, or the guess is no use.
    """
    artifact = artifact_at(path)
    parts = parts_of(artifact, folder, test_folder, progress)
    known = [
        (part, decode_files([record.path for record in part], artifact.preprocessing, threads=threads))
        for part in ([record for record in part if record.label and record.kind] for part in parts)
    ]
    kinded = kinds_for(Graph(artifact, threads=threads), known[0], known[1], known[2])
    if kinded is None:
        raise DataError(
            f"{folder} names fewer than two kinds with {LEAST} defects each that can be told apart"
        )
    written = rewritten(
        artifact,
        output,
        artifact.card | {"kinds": kinded.card},
        kinds=(kinded.kinds.names, kinded.kinds.as_bytes()),
    )
    say(json.dumps(kinded.card))
    say(f"{written.path}  sha256 {written.sha256}")
    return written


def add_reference(
    path: Path,
    folder: Path | Source,
    output: Path,
    *,
    test_folder: Path | Source | None = None,
    threads: int = 1,
    say: Say = print,
    progress: Progress = no_progress,
) -> Artifact:
    """Write the artifact again with the reference from which drift is measured; all else is unchanged.

    Raises DataError as `add_guard` does, and where the artifact has no guard.
    """
    artifact = artifact_at(path)
    guard = artifact.guard()
    if guard is None:
        raise DataError(f"{artifact.name} has no guard")
    _, validation, test = parts_of(artifact, folder, test_folder, progress)
    unseen = [*validation, *test]
    images = decode_files([record.path for record in unseen], artifact.preprocessing, threads=threads)
    labels = np.array([record.label for record in unseen])
    graph = Graph(artifact, threads=threads)
    reference = reference_for(graph, artifact, guard, artifact.calibration, images, labels)
    written = rewritten(artifact, output, artifact.card | {"reference": reference})
    say(f"{written.path}  sha256 {written.sha256}")
    return written


def rewritten(artifact: Artifact, output: Path, card: Card, **changed: Any) -> Artifact:
    """The artifact with another card and the `changed` parts, and both cards, in `output`."""
    layer = artifact.kinds_layer()
    kept = {
        "operating_point": artifact.operating_point,
        "guard": artifact.guard(),
        "self_test": artifact.self_test(),
        "promise": artifact.promise,
        "kinds": None if layer is None else (artifact.kinds, layer),
    }
    output.mkdir(parents=True, exist_ok=True)
    written = write_artifact(
        output / artifact.path.name,
        name=artifact.name,
        onnx=artifact.onnx(),
        weights=artifact.weights(),
        preprocessing=artifact.preprocessing,
        calibration=artifact.calibration,
        card=card,
        curves_png=artifact.curves(),
        **{**kept, **changed},
    )
    (output / "card.json").write_text(json.dumps(card, indent=1, sort_keys=True) + "\n")
    (output / "CARD.md").write_text(readable(card))
    return written


def parts_of(
    artifact: Artifact,
    folder: Path | Source,
    test_folder: Path | Source | None = None,
    progress: Progress = no_progress,
) -> tuple[list[Record], list[Record], list[Record]]:
    """The training, validation and test part, split as the training of `artifact` split the folder.

    Raises DataError where the card names another test part than the one found, or none.
    """
    training, data = artifact.card.get("training", {}), artifact.card.get("data", {})
    if "seed" not in training or "test_sha256" not in data:
        raise DataError(f"the card of {artifact.name} does not name its test part")
    if artifact.card["network"]["kind"] == "patches":
        raise DataError(
            f"{artifact.name} has learned good parts alone, by a split of their own: train it again"
        )
    if str(data.get("split")).startswith(CROSSED):
        raise DataError(f"{artifact.name} is {CROSSED}: it has learned every image outside its test part")
    # A promise of before had no part of its own, and its card names none: the split was the usual one.
    promise = training.get("promise")
    costs = Costs()
    if promise is not None:
        costs = Costs(max_escape_rate=promise["max_escape_rate"], confidence=promise["confidence"])
    full_scale = artifact.preprocessing.full_scale
    options = Options(
        name="",
        output=Path(),
        preset=training["preset"],
        seed=training["seed"],
        costs=costs,
        full_scale=full_scale,
        budget_min=training.get("budget_minutes", Options.budget_min),
    )
    looked = check(folder, full_scale=full_scale, progress=progress)
    if data.get("families"):
        keep_families_apart(looked, folder, options, lambda line: None)
    split, _ = choose_split(looked, options)
    train, test, name = split.train, split.test, looked.folder
    if test_folder is not None:
        looked = check(test_folder, full_scale=full_scale)
        train, test, name = split.train + split.test, looked.records, looked.folder
    if part_hash(test) != data["test_sha256"]:
        raise DataError(f"{name} gives another test part than the one that {artifact.name} was measured on")
    return train, split.validation, test
