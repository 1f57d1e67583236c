"""One run, from a folder to a proven artifact: look, split, decode, fit, calibrate, choose, prove, write."""

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shared.clock import now, rfc3339
from shared.contract.operating_point import OperatingPoint
from shared.registry.artifact import Artifact, Calibration, Preprocessing, write_artifact
from shared.vision.graph import Graph
from shared.vision.net import Shape, multiplications, weights_bytes
from training.data.folder import DataError, Record, Report, check
from training.data.pixels import decode_files, decode_masks
from training.data.splits import Split, given_split, grouped_split, part_hash, random_split
from training.fit import recipe
from training.fit.augment import Liberties, liberties
from training.fit.start import Start, starting_weights
from training.fit.train import Fitted, Part, Progress, Say, clock_for, fit, no_progress
from training.output import plots
from training.output.card import readable
from training.output.export import onnx_bytes
from training.proof.baselines import baselines
from training.proof.calibrate import fit_calibration, scores
from training.proof.evaluate import logits_of
from training.proof.metrics import report
from training.proof.operating_point import Costs, choose

LEDGER = "test-scorings.ndjson"
USE = (
    "For pictures of the same parts, camera and light as those it was taught. It sorts them into `defect`, "
    "`no_defect` and `review`; it does not measure, and it knows no flaw of a kind that it never saw."
)


@dataclass(frozen=True)
class Options:
    """What a person may choose; the recipe chooses the rest."""

    name: str
    output: Path
    budget_min: float = 30.0
    preset: str = "recipe"  # or "original"
    split: str = "auto"  # auto, grouped, random, given
    seed: int = 0
    device: str = "auto"
    threads: int = 2
    side: int | None = None
    speed: float | None = None  # millions of multiply-adds a picture
    mirrors: int | None = None
    full_scale: int | None = None
    costs: Costs = field(default_factory=Costs)
    notice: str = ""
    start: str = "auto"  # or "none", or an artifact's path


def train_folder(
    folder: Path,
    options: Options,
    *,
    test_folder: Path | None = None,
    say: Say = print,
    progress: Progress = no_progress,
) -> Artifact:
    """Check a folder, split it, train on it and write the run folder. Raises DataError for unusable data."""
    looked = check(folder, progress=progress)
    say(looked.as_text())
    split, how = choose_split(looked, options)
    if test_folder is not None:
        looked_test = check(test_folder)
        known = {record.identity for record in looked.records}
        if any(record.identity in known for record in looked_test.records):
            raise DataError(f"{test_folder} holds pictures that are also in {folder}")
        split = Split(split.train + split.test, split.validation, looked_test.records)
        how = f"{how}; the test part is the folder {test_folder.name}"
    return train_split(looked, split, how, options, say=say, progress=progress)


def choose_split(looked: Report, options: Options) -> tuple[Split, str]:
    """The split and a sentence on how it was made. A given split that leaks is set aside, and that is
    said."""
    wanted = "random" if options.preset == "original" and options.split == "auto" else options.split
    if wanted in ("auto", "given") and not (looked.leaks and wanted == "auto"):
        given = given_split(looked.records, seed=options.seed)
        if given is not None:
            return given, "as the data names it" + (
                ", leaking groups moved into train" if looked.leaks else ""
            )
        if wanted == "given":
            raise DataError("the data names no split into train and test")
    if wanted == "random":
        return random_split(looked.records, seed=options.seed), "random 70/15/15, groups disregarded"
    how = "random 70/15/15 by whole groups"
    if looked.leaks:
        how += f" (the given split leaked {len(looked.leaks)} groups and was set aside)"
    return grouped_split(looked.records, seed=options.seed), how


def train_split(
    looked: Report,
    split: Split,
    how: str,
    options: Options,
    *,
    say: Say = print,
    progress: Progress = no_progress,
) -> Artifact:
    """Train on a split that is made already; writes the run folder and returns the artifact in it."""
    options.output.mkdir(parents=True, exist_ok=True)
    test_sha256 = part_hash(split.test)
    _write_json(
        options.output / "split.json",
        {"split": how, "seed": options.seed, "test_sha256": test_sha256, "made_at": rfc3339(now())}
        | {
            name: [record.identity for record in getattr(split, name)]
            for name in ("train", "validation", "test")
        },
    )
    say(
        f"split: {how}; {len(split.train)}/{len(split.validation)}/{len(split.test)}; test part {test_sha256[:16]}"
    )
    torch.set_num_threads(options.threads)
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    clock = clock_for(device)
    started, started_cpu = clock(), time.process_time()

    original = options.preset == "original"
    spec = _preprocessing(looked, options)
    train, validation, test = (
        _decoded(part, spec, options.threads) for part in (split.train, split.validation, split.test)
    )
    few_parts = looked.has_groups and _parts(train) < recipe.FEW_PARTS
    freedom = Liberties(False, False, False, False)
    if not original:
        freedom = liberties(train.images, few_parts=few_parts)
    shape = recipe.original_shape() if original else _shape(spec, freedom, few_parts, options)
    start = starting_weights(options.start, shape)
    say(
        f"{spec.width} x {spec.height} x {spec.channels}, {multiplications(shape) / 1e6:.1f} M multiply-adds a picture"
    )
    if start is not None:
        say(f"starts from the weights of {start.name}")
    fitted = fit(
        shape,
        train,
        validation,
        start=start.weights if start else None,
        budget_s=options.budget_min * 60 - (clock() - started),
        freedom=freedom,
        plan=recipe.ORIGINAL_PLAN if original else None,
        device=device,
        seed=options.seed,
        say=say,
        progress=progress,
    )
    say(f"{fitted.stop_reason}; epoch {fitted.best_epoch} is kept")
    torch.save(fitted.net.state_dict(), options.output / "best_model.pt")
    plots.curves(fitted.history, fitted.best_epoch, options.output / "training_curves.png")
    cpu_seconds = time.process_time() - started_cpu
    return _prove(
        Trained(
            looked,
            split,
            how,
            options,
            spec,
            shape,
            freedom,
            start,
            fitted,
            cpu_seconds,
            train,
            validation,
            test,
        ),
        say,
    )


@dataclass(frozen=True)
class Trained:
    """A training that has ended, and everything that led to it."""

    looked: Report
    split: Split
    how: str
    options: Options
    spec: Preprocessing
    shape: Shape
    freedom: Liberties
    start: Start | None
    fitted: Fitted
    cpu_seconds: float
    train: Part
    validation: Part
    test: Part


def _prove(trained: Trained, say: Say) -> Artifact:
    """Calibrate and choose on validation, score the test part once by the graph that will serve, write
    all."""
    options, validation, test = trained.options, trained.validation, trained.test
    graph_bytes, weights = onnx_bytes(trained.fitted.net, trained.shape), weights_bytes(trained.fitted.net)
    plain = Calibration(1.0, 0.0)
    unproven = _artifact(trained, graph_bytes, weights, plain, OperatingPoint(0.5, 0.5, 0.5), {})
    graph = Graph(unproven, threads=options.threads)
    logits = logits_of(graph, validation.images)
    if options.preset == "original":
        calibration, point = plain, OperatingPoint(0.5, 0.5, 0.5)
    else:
        calibration = fit_calibration(logits, validation.labels, validation.groups)
        point = choose(scores(logits, calibration), validation.labels, options.costs)
    test_logits = logits_of(graph, test.images)
    p_plain, p = scores(test_logits, plain), scores(test_logits, calibration)
    on_validation = report(scores(logits, calibration), validation.labels, validation.groups, point)
    on_test = report(p, test.labels, test.groups, point)
    before = report(p_plain, test.labels, test.groups, point)
    _draw(trained, p_plain, p, point)

    card = _card(trained) | {
        "calibration": asdict(calibration),
        "operating_point": asdict(point),
        "validation": on_validation.as_card(),
        "test": on_test.as_card(),
        "before_calibration": {"ece": round(before.ece, 6), "log_loss": round(before.log_loss, 6)},
        "speed": {"images_per_second": round(_speed(unproven, test.images), 1), "threads": 1},
        "limits": _limits(trained.looked, on_test.groups),
    }
    card["data"]["test_scorings"] = _note_scoring(
        options, card["data"]["test_sha256"], on_test.accuracy.value
    )
    card["metrics"] = {
        name: card["test"][name] for name in ("accuracy", "escape_rate", "false_reject_rate", "auroc", "ece")
    }
    curves = (options.output / "training_curves.png").read_bytes()
    artifact = _artifact(trained, graph_bytes, weights, calibration, point, card, curves)
    _write_json(options.output / "card.json", card)
    (options.output / "CARD.md").write_text(readable(card))
    say(f"test part: accuracy {on_test.accuracy}, by groups {on_test.accuracy_by_groups}")
    say(
        f"escapes {on_test.escapes} of {on_test.defects}, false rejects {on_test.false_rejects} of "
        f"{on_test.pictures - on_test.defects}, AUROC {on_test.auroc:.4f}, ECE {before.ece:.4f} -> {on_test.ece:.4f}"
    )
    say(f"{artifact.path}  sha256 {artifact.sha256}")
    return artifact


def _card(trained: Trained) -> dict[str, Any]:
    """What is known of a model before its test part is scored."""
    looked, options, fitted = trained.looked, trained.options, trained.fitted
    train, test = trained.train, trained.test
    return {
        "name": options.name,
        "made_at": rfc3339(now()),
        "use": USE,
        "notice": options.notice,
        "network": trained.shape.as_card(),
        "multiplications": multiplications(trained.shape),
        "weights": sum(value.numel() for value in fitted.net.parameters()),
        "preprocessing": asdict(trained.spec),
        "costs": _costs(options),
        "data": looked.as_json()
        | {
            "split": trained.how,
            "train": len(train),
            "validation": len(trained.validation),
            "test": len(test),
            "sha256": part_hash(looked.records),
            "test_sha256": part_hash(trained.split.test),
        },
        "training": {
            "preset": options.preset,
            "start": {"name": trained.start.name, "sha256": trained.start.sha256} if trained.start else None,
            "seed": options.seed,
            "plan": fitted.plan.as_card(),
            "masks": train.masks is not None,
            "augmentation": trained.freedom.as_card() if fitted.plan.augment else None,
            "budget_minutes": options.budget_min,
            "seconds": round(fitted.seconds, 1),
            "cpu_seconds": round(trained.cpu_seconds, 1),
            "best_epoch": fitted.best_epoch,
            "stop_reason": fitted.stop_reason,
            "history": [{name: round(value, 6) for name, value in row.items()} for row in fitted.history],
        },
        "baselines": {
            name: round(value, 4)
            for name, value in baselines(
                train.images, train.labels.tolist(), test.images, test.labels.tolist()
            ).items()
        },
        "versions": {
            **{name: version(name) for name in ("torch", "torchvision", "onnxruntime", "numpy", "pillow")},
            "python": platform.python_version(),
        },
    }


def _draw(
    trained: Trained, plain: NDArray[np.float64], p: NDArray[np.float64], point: OperatingPoint
) -> None:
    """The pictures of the test part's scores, before (`plain`) and after calibration."""
    output, labels = trained.options.output, trained.test.labels
    plots.confusion(
        p, labels, point.threshold, output / "confusion.png", f"{trained.options.name}, test part"
    )
    plots.precision_recall_curve(p, labels, output / "precision_recall.png")
    plots.reliability(plain, p, labels, output / "reliability.png")
    files = [record.path for record in trained.split.test]
    plots.worst_mistakes(files, p, labels, point.threshold, output / "worst_mistakes.png")


def _preprocessing(looked: Report, options: Options) -> Preprocessing:
    if options.preset == "original":
        shape = recipe.original_shape()
        return Preprocessing(shape.width, shape.height, shape.channels, options.full_scale)
    sizes = [
        (int(width), int(height))
        for size, count in looked.sizes.items()
        for width, height in [size.split("x")]
        for _ in range(count)
    ]
    colour = recipe.has_colour([record.path for record in looked.records])
    return recipe.preprocessing_for(sizes, colour, side=options.side, full_scale=options.full_scale)


def _shape(spec: Preprocessing, freedom: Liberties, few_parts: bool, options: Options) -> Shape:
    limit = int(options.speed * 1e6) if options.speed else recipe.MAX_MULTIPLICATIONS
    mirrors = options.mirrors or recipe.mirrors_for(
        spec, freedom.mirror_sideways, freedom.mirror_upright, few_parts
    )
    return recipe.shape_for(spec, mirrors=mirrors, limit=limit)


def _decoded(records: Sequence[Record], spec: Preprocessing, threads: int) -> Part:
    images = decode_files([record.path for record in records], spec, threads=threads)
    labels = np.array([record.label for record in records], np.int64)
    _, groups = np.unique([record.group for record in records], return_inverse=True)
    masks = decode_masks([record.path for record in records], spec)
    return Part(images, labels, groups.astype(np.int64), masks)


def _parts(part: Part) -> int:
    """How many different parts the rarer label shows."""
    return min(len(np.unique(part.groups[part.labels == label])) for label in (0, 1))


def _artifact(
    trained: Trained,
    graph: bytes,
    weights: bytes,
    calibration: Calibration,
    point: OperatingPoint,
    card: dict[str, Any],
    curves: bytes | None = None,
) -> Artifact:
    options = trained.options
    return write_artifact(
        options.output / f"{options.name}.gonogo",
        name=options.name,
        onnx=graph,
        weights=weights,
        preprocessing=trained.spec,
        calibration=calibration,
        operating_point=point,
        card=card,
        curves_png=curves,
    )


def _speed(artifact: Artifact, images: NDArray[np.uint8]) -> float:
    """Pictures a second of the graph alone on one thread, the best of five micro-batches of 32."""
    graph, batch = Graph(artifact, threads=1), np.resize(images, (32, *images.shape[1:]))
    best = float("inf")
    for _ in range(6):
        started = time.perf_counter()
        graph.logits(batch)
        best = min(best, time.perf_counter() - started)
    return len(batch) / best


def _note_scoring(options: Options, test_sha256: str, accuracy: float) -> int:
    """Note that the test part was scored, beside the run folder; how often it has been, this time
    included."""
    ledger = options.output.parent / LEDGER
    row = {"at": rfc3339(now()), "run": options.output.name, "test_sha256": test_sha256, "accuracy": accuracy}
    with ledger.open("a") as file:
        file.write(json.dumps(row) + "\n")
    return sum(json.loads(line)["test_sha256"] == test_sha256 for line in ledger.read_text().splitlines())


def _costs(options: Options) -> str:
    if options.preset == "original":
        return "fixed at one half"
    costs = options.costs
    if costs.max_escape_rate is not None:
        return f"at most {costs.max_escape_rate:.2%} escapes on validation, a review costs {costs.review:g}"
    return f"an escape costs {costs.escape:g}, a false reject {costs.reject:g}, a review {costs.review:g}"


def _limits(looked: Report, test_groups: int) -> str:
    said = [
        f"The test part holds {test_groups} groups: rates finer than 1 in {test_groups} are not supported by it."
    ]
    if not looked.has_groups:
        said.append(
            "The data names no parts; groups were found by likeness, so a part may lie on both sides of the "
            "split, and parts never seen may do worse."
        )
    if looked.contradictions:
        said.append(f"{len(looked.contradictions)} pictures carried both labels and were left out.")
    return " ".join(said)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
