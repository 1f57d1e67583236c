"""Make an artifact that averages mirrored copies faster: only images whose verdict may change are scored again.

The last layer's offset moves, so that the middle of the review band lies at 0. All other weights and the operating
point stay as they are; the calibration is fitted again, and the test part is scored once.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from shared.clock import now, rfc3339
from shared.json_text import Card
from shared.registry.artifact import NEWEST_PREPROCESSING, Artifact, Preprocessing, write_artifact
from shared.vision.decision import decide
from shared.vision.graph import Graph
from shared.vision.net import Shape, build, load, multiplications, weights_bytes
from training.data.decoded import labels_of
from training.data.pixels import decode_files
from training.data.records import DataError, Record
from training.fit.guarded import guard_for
from training.fit.kinds import kinds_for
from training.fit.recipe import trace_for
from training.fit.reference import reference_for
from training.fit.start import centre_of
from training.guarding import parts_of
from training.output.card import readable
from training.output.export import onnx_bytes
from training.progress import Progress, Say, no_progress
from training.proof.calibrate import at_prevalence, fit_calibration, log_odds, moved, scores
from training.proof.decided import PLAIN
from training.proof.evaluate import logits_of
from training.proof.kinds import by_kind
from training.proof.metrics import report
from training.proof.prove import note_scoring
from training.proof.speed import speed_of
from training.repointing import prevalence_of, unpromised, withheld

CHANGED = 0.0005  # of the validation part: verdicts that may differ from those of the full average


@dataclass(frozen=True)
class _Seen:
    """The training, validation and test part: records, and images (N, H, W, C) in the form of the artifact."""

    records: tuple[list[Record], ...]
    images: tuple[NDArray[np.uint8], ...]


@dataclass(frozen=True)
class _Slow:
    """The artifact that averages copies of every image, `centre` that was taken off its logits, and its new file."""

    artifact: Artifact
    centre: float
    spec: Preprocessing
    path: Path

    def written(self, shape: Shape, **more: object) -> Artifact:
        """The same weights in a network of this shape."""
        state = load(self.artifact.weights(), self.artifact.card).state_dict()
        state["head.bias"] -= self.centre
        net = build(shape).eval()
        net.load_state_dict(state)
        given: Card = {"calibration": self.artifact.calibration, "card": {"network": shape.as_card()}}
        return write_artifact(
            self.path,
            name=self.artifact.name,
            onnx=onnx_bytes(net, shape),
            weights=weights_bytes(net),
            preprocessing=self.spec,
            operating_point=self.artifact.operating_point,
            curves_png=self.artifact.curves(),
            **(given | more),
        )


def hasten(
    path: Path,
    folder: Path,
    output: Path,
    *,
    threads: int = 1,
    say: Say = print,
    progress: Progress = no_progress,
) -> Artifact:
    """Write the faster artifact with its card, its weights and its curves to `output`.

    Raises DataError where the artifact averages no copies or makes a promise, or `folder` gives another test part than
    its card names.
    """
    artifact = unpromised(path)
    shape = Shape.from_card(artifact.card["network"])
    if shape.mirrors == 1 or shape.kind != "residual":
        raise DataError(f"{artifact.name} is no small network that averages mirrored copies")
    records = parts_of(artifact, folder, progress=progress)
    seen = _Seen(records, tuple(_decoded(artifact, part, threads) for part in records))
    files = [record.path for part in records for record in part]
    spec = _newest(artifact.preprocessing, files, np.concatenate(seen.images), threads)
    output.mkdir(parents=True, exist_ok=True)
    slow = _Slow(artifact, middle_of(artifact), spec, output / path.name)
    shape, share = _again_where_unsure(slow, shape, seen.images[1], threads)
    say(
        f"{share:.1%} of the validation part lie nearer than {shape.unsure:.3f} to the middle of the review band and "
        "are scored again"
    )
    made = _proven(slow, shape, share, seen, threads, say)
    torch.save(load(made.weights(), made.card).state_dict(), output / "best_model.pt")
    (output / "training_curves.png").write_bytes(artifact.curves() or b"")
    (output / "card.json").write_text(json.dumps(made.card, indent=1, sort_keys=True) + "\n")
    (output / "CARD.md").write_text(readable(made.card))
    say(f"{made.path}  sha256 {made.sha256}")
    return made


def _again_where_unsure(
    slow: _Slow, shape: Shape, validation: NDArray[np.uint8], threads: int
) -> tuple[Shape, float]:
    """The network that averages copies of unsure images alone, and the share of the validation part that these are."""
    once, whole = (
        logits_of(Graph(slow.written(each), threads=threads), validation)
        for each in (replace(shape, mirrors=1), replace(shape, unsure=0.0))
    )
    before, point = moved(slow.artifact.calibration, slow.centre), slow.artifact.operating_point
    verdicts = ([decide(float(p), point) for p in scores(each, before)] for each in (once, whole))
    apart = np.array([one != other for one, other in zip(*verdicts, strict=True)])
    shape = replace(shape, unsure=least_unsure(once, apart), trace=trace_for(slow.spec))
    return shape, float((np.abs(once) < shape.unsure).mean())


def _proven(slow: _Slow, shape: Shape, share: float, seen: _Seen, threads: int, say: Say) -> Artifact:
    """Calibrate anew, score the test part once, fit the guard and the guess of the kind, and write the artifact."""
    artifact, point = slow.artifact, slow.artifact.operating_point
    prevalence = prevalence_of(artifact)
    validation, test = seen.images[1:]
    unproven = slow.written(shape)
    graph = Graph(unproven, threads=threads)
    labels, groups = zip(*(labels_of(part) for part in seen.records[1:]), strict=True)
    logits = [logits_of(graph, part) for part in (validation, test)]
    middle = slow.centre + centre_of(
        artifact.card
    )  # as a logit of the training, which the calibration expects
    fitted = fit_calibration(logits[0] + np.float32(middle), labels[0], groups[0])
    calibration = at_prevalence(moved(fitted, middle), labels[0], prevalence)
    p = [scores(each, calibration) for each in logits]
    on_validation, on_test = (
        report(p[n], labels[n], groups[n], point, prevalence=prevalence) for n in (0, 1)
    )
    plain = report(scores(logits[1], moved(PLAIN, middle)), labels[1], groups[1], point).as_card()
    say(f"test part: accuracy {on_test.accuracy}; fitting the guard")
    guarded = guard_for(graph, unproven, *seen.images, seed=int(artifact.card["training"]["seed"]))
    # The feature may have become longer, so the guess is fitted again.
    kinded = kinds_for(graph, *zip(seen.records, seen.images, strict=True)) if artifact.kinds else None
    held = np.concatenate([validation, test])
    reference = reference_for(graph, unproven, guarded.guard, calibration, held, np.concatenate(labels))
    once = multiplications(replace(shape, mirrors=1))
    card = artifact.card | {
        "made_at": rfc3339(now()),
        "network": shape.as_card(),
        "multiplications": round(once * (1 + share * (shape.mirrors - 1))),
        "preprocessing": asdict(slow.spec),
        "calibration": asdict(calibration),
        "validation": withheld(on_validation.as_card(), artifact.card["validation"]),
        "test": withheld(on_test.as_card(), artifact.card["test"])
        | {"kinds": by_kind(seen.records[2], p[1], point)},
        "before_calibration": withheld(
            {name: plain[name] for name in ("ece", "log_loss")}, artifact.card["before_calibration"]
        ),
        "speed": {"images_per_second": round(speed_of(unproven, test), 1), "threads": 1},
        "scored_again": {"unsure": shape.unsure, "centre": middle, "share_of_validation": round(share, 4)},
        "guard": guarded.card,
        "reference": reference,
        "kinds": kinded.card if kinded else None,
    }
    test_sha256 = card["data"]["test_sha256"]
    scorings = note_scoring(slow.path.parent, test_sha256, on_test.accuracy.value)
    card["data"] = card["data"] | {"test_scorings": scorings}
    card["metrics"] = {name: card["test"][name] for name in card["metrics"]}
    return slow.written(
        shape,
        calibration=calibration,
        card=card,
        guard=guarded.guard,
        self_test=guarded.self_test,
        kinds=(kinded.kinds.names, kinded.kinds.as_bytes()) if kinded else None,
    )


def middle_of(artifact: Artifact) -> float:
    """The logit in the middle between those at which the verdict changes: at the ends of the review band, or at the
    threshold where there is none. An end at a score of 0 or 1 changes nothing."""
    point = artifact.operating_point
    ends = (
        (point.review_low, point.review_high) if point.review_low < point.review_high else (point.threshold,)
    )
    odds = [log_odds(end) for end in ends if 0 < end < 1]
    if not odds:
        return 0.0
    return (sum(odds) / len(odds) - artifact.calibration.offset) / artifact.calibration.scale


def least_unsure(once: NDArray[np.float32], apart: NDArray[np.bool_]) -> float:
    """The distance from 0 beyond which one pass decides: at most CHANGED of the images lie there and are `apart` (N,),
    for their verdict is not the average's."""
    away = np.sort(np.abs(once[apart]))[::-1]
    allowed = int(CHANGED * len(once))
    return float(np.nextafter(away[allowed], np.float32(np.inf))) if len(away) > allowed else 1e-3


def _newest(spec: Preprocessing, files: list[Path], images: NDArray[np.uint8], threads: int) -> Preprocessing:
    """The newest version of the preprocessing, if it changes no pixel of the images (N, H, W, C) of the files."""
    newest = replace(spec, version=NEWEST_PREPROCESSING)
    return newest if np.array_equal(decode_files(files, newest, threads=threads), images) else spec


def _decoded(artifact: Artifact, part: list[Record], threads: int) -> NDArray[np.uint8]:
    return decode_files([record.path for record in part], artifact.preprocessing, threads=threads)
