"""Calibrate, choose the operating point, score the test part once, and write the run folder."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from shared.clock import now, rfc3339
from shared.contract.operating_point import OperatingPoint
from shared.json_text import Card
from shared.registry.artifact import Artifact, Calibration, Promise, write_artifact
from shared.vision.graph import Graph
from shared.vision.net import weights_bytes
from training.fit.guarded import Guarded, guard_for
from training.fit.kinds import Kinded, kinds_for
from training.fit.reference import reference_for
from training.output import plots
from training.output.card import readable
from training.output.export import onnx_bytes
from training.output.facts import facts, limits_of
from training.output.withheld import known, scores_are_probabilities
from training.progress import Say
from training.proof.crossed import guard_parts, known_parts
from training.proof.decided import PLAIN, decided
from training.proof.findings import failings, findings, unknown_parts
from training.proof.kinds import by_kind
from training.proof.metrics import Report, report
from training.proof.speed import speed_of
from training.trained import Trained

LEDGER = "test-scorings.ndjson"


def prove(trained: Trained, say: Say) -> Artifact:
    """Calibrate, choose and fit the guard; score the test part once, by the graph that will serve; write all.

    The run folder gets its artifact last: one that is proven only in part, and promises nothing, lies apart until then.
    """
    with TemporaryDirectory(prefix=".unproven-", dir=trained.options.output) as scratch:
        return _proven(trained, Path(scratch), say)


def _proven(trained: Trained, scratch: Path, say: Say) -> Artifact:
    options, validation, test = trained.options, trained.validation, trained.test
    graph_bytes, weights = onnx_bytes(trained.fitted.net, trained.shape), weights_bytes(trained.fitted.net)
    network = {"network": trained.shape.as_card()}
    point = OperatingPoint(0.5, 0.5, 0.5)
    unproven = _artifact(trained, scratch, graph_bytes, weights, PLAIN, point, network)
    graph = Graph(unproven, threads=options.threads)
    found = decided(trained, graph)
    calibration, point, p = found.calibration, found.point, found.test
    crossed = trained.fold_of is not None
    line = options.costs.prevalence
    on_validation = report(
        found.validation, validation.labels, validation.groups, point, crossed=crossed, prevalence=line
    )
    on_test = report(p, test.labels, test.groups, point, crossed=trained.tests_itself, prevalence=line)
    before = report(found.plain, test.labels, test.groups, point)
    _draw(trained, found.plain, p, point)
    say("fitting the guard")
    slow = trained.shape.kind in ("features", "mean", "patches")
    guarded = guard_for(
        graph,
        unproven,
        *guard_parts(trained),
        seed=options.seed,
        slow=slow,
    )

    kinded = kinds_for(graph, *known_parts(trained), slow=slow)

    card = facts(trained) | {
        "calibration": asdict(calibration),
        "operating_point": asdict(point),
        "validation": known(on_validation.as_card(), trained, "validation"),
        "test": known(on_test.as_card(), trained, "test") | {"kinds": by_kind(trained.split.test, p, point)},
        "before_calibration": {
            name: before.as_card()[name] if scores_are_probabilities(trained) else None
            for name in ("ece", "log_loss")
        },
        "speed": {"images_per_second": round(speed_of(unproven, test.images), 1), "threads": 1},
        "guard": guarded.card,
        "reference": _reference(trained, graph, unproven, guarded, calibration),
        "kinds": kinded.card if kinded else None,
        "limits": limits_of(trained),
    }
    card |= findings(trained, graph, calibration, point, (found.validation, p), card)
    found_wanting = failings(on_test, guarded.card["flagged_of_test"])
    card["warnings"] = found_wanting + unknown_parts(trained) + card["warnings"]
    card["data"]["test_scorings"] = note_scoring(
        options.output, card["data"]["test_sha256"], on_test.accuracy.value
    )
    card["metrics"] = {
        name: card["test"][name] for name in ("accuracy", "escape_rate", "false_reject_rate", "auroc", "ece")
    }
    curves = (options.output / "training_curves.png").read_bytes()
    write_json(options.output / "card.json", card)
    (options.output / "CARD.md").write_text(readable(card))
    artifact = _artifact(
        trained, options.output, graph_bytes, weights, calibration, point, card, curves, guarded, kinded,
        _promise_of(trained),
    )  # fmt: skip
    say(f"test part: {'; '.join(_accuracies(on_test, card['test']))}")
    say(
        f"escapes {on_test.escapes} of {on_test.defects}, false rejects {on_test.false_rejects} of "
        f"{on_test.pictures - on_test.defects}"
        + ("" if math.isnan(on_test.auroc) else f", AUROC {on_test.auroc:.4f}")
        # Few images carry no calibration error, and neither do scores for another share of defects.
        + ("" if card["test"]["ece"] is None else f", ECE {before.ece:.4f} -> {on_test.ece:.4f}")
    )
    say(
        f"threshold {point.threshold:.3f}, review from {point.review_low:.3f} to {point.review_high:.3f}: "
        f"{on_validation.reviewed} of the {on_validation.pictures} images of the validation part"
    )
    for warning in card["warnings"]:
        say(f"warning: {warning}")
    say(f"{artifact.path}  sha256 {artifact.sha256}")
    return artifact


def _accuracies(on_test: Report, stated: Card) -> list[str]:
    """The accuracies of the test part that the card states."""
    line = "" if on_test.prevalence is None else f" on a line with {on_test.prevalence:.2%} defects"
    told = {
        "accuracy": f"accuracy{line} {on_test.accuracy}",
        "accuracy_by_groups": f"for new parts {on_test.accuracy_by_groups}",
        "accuracy_at_half": f"at a threshold of 0.5 {on_test.accuracy_at_half}",
    }
    return [words for name, words in told.items() if stated[name] is not None]


def _reference(
    trained: Trained, graph: Graph, unproven: Artifact, guarded: Guarded, calibration: Calibration
) -> Card | None:
    """From the validation and the test part, which no weight was fitted on; a cross-fitted training has none such."""
    if trained.fold_of is not None:
        return None
    parts = (trained.validation, trained.test)
    images, labels = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "labels")
    )
    return reference_for(graph, unproven, guarded.guard, calibration, images, labels)


def _draw(
    trained: Trained, plain: NDArray[np.float64], p: NDArray[np.float64], point: OperatingPoint
) -> None:
    """The images of the test part's scores, before (`plain`) and after calibration."""
    output, labels = trained.options.output, trained.test.labels
    plots.confusion(
        p, labels, point.threshold, output / "confusion.png", f"{trained.options.name}, test part"
    )
    line = trained.options.costs.prevalence
    plots.precision_recall_curve(p, labels, output / "precision_recall.png", line)
    plots.reliability(plain, p, labels, output / "reliability.png", line)
    files = [record.path for record in trained.split.test]
    plots.worst_mistakes(files, p, labels, point.threshold, output / "worst_mistakes.png")


def _promise_of(trained: Trained) -> Promise | None:
    """None also without parts that alone have chosen its bound."""
    costs = trained.options.costs
    if costs.max_escape_rate is None or trained.proof is None:
        return None
    return Promise(costs.max_escape_rate, costs.confidence)


def _artifact(
    trained: Trained,
    folder: Path,
    graph: bytes,
    weights: bytes,
    calibration: Calibration,
    point: OperatingPoint,
    card: Card,
    curves: bytes | None = None,
    guarded: Guarded | None = None,
    kinded: Kinded | None = None,
    promise: Promise | None = None,
) -> Artifact:
    name = trained.options.name
    return write_artifact(
        folder / f"{name}.gonogo",
        name=name,
        onnx=graph,
        weights=weights,
        preprocessing=trained.spec,
        calibration=calibration,
        operating_point=point,
        card=card,
        curves_png=curves,
        guard=guarded.guard if guarded else None,
        self_test=guarded.self_test if guarded else None,
        promise=promise,
        kinds=(kinded.kinds.names, kinded.kinds.as_bytes()) if kinded else None,
    )


def note_scoring(output: Path, test_sha256: str, accuracy: float) -> int:
    """Note next to the run folder that the test part was scored; returns how often it has been, this time included."""
    ledger = output.parent / LEDGER
    row = {"at": rfc3339(now()), "run": output.name, "test_sha256": test_sha256, "accuracy": accuracy}
    with ledger.open("a") as file:
        file.write(json.dumps(row) + "\n")
    return sum(json.loads(line)["test_sha256"] == test_sha256 for line in ledger.read_text().splitlines())


def write_json(path: Path, value: Card) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
