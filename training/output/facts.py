"""The facts of a training that its card states, apart from the figures of the test part."""

import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.clock import now, rfc3339
from shared.json_text import Card
from shared.vision.net import multiplications, small_of
from training.data.records import Record
from training.data.splits import part_hash
from training.options import Options
from training.output.withheld import withheld_lines
from training.proof.baselines import accuracies, baselines, blind_features, crossed_accuracies
from training.proof.bounds import misses_allowed
from training.proof.good_point import in_words
from training.trained import Trained

USE = (
    "For images of the same parts, camera and light as those it was taught. It sorts them into `defect`, "
    "`no_defect` and `review`; it does not measure, and it knows no flaw of a kind that it never saw."
)


def facts(trained: Trained) -> Card:
    """The part of the card that is known before the test part is scored."""
    looked, options, fitted = trained.looked, trained.options, trained.fitted
    train, test = trained.train, trained.test
    return {
        "name": options.name,
        "made_at": rfc3339(now()),
        "use": USE,
        "notice": options.notice,
        "network": trained.shape.as_card(),
        "multiplications": _multiplications(trained),
        "weights": sum(value.numel() for value in fitted.net.parameters()),
        "preprocessing": asdict(trained.spec),
        **asked(options),
        **({"costs": in_words(trained.validation)} if trained.shape.kind == "patches" else {}),
        "data": looked.as_json()
        | {
            "split": trained.how,
            "train": len(trained.split.train),
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
            "unlabelled": trained.unlabelled,
            "augmentation": trained.freedom.as_card() if fitted.plan.augment else None,
            "budget_minutes": options.budget_min,
            "seconds": round(fitted.seconds, 1),
            "cpu_seconds": round(trained.cpu_seconds, 1),
            "best_epoch": fitted.best_epoch,
            "stop_reason": fitted.stop_reason,
            "history": [{name: round(value, 6) for name, value in row.items()} for row in fitted.history],
        }
        | _promise(trained),
        "choice": trained.choice,
        "baselines": _blind(trained),
        "versions": {
            **{name: version(name) for name in ("torch", "torchvision", "onnxruntime", "numpy", "pillow")},
            "python": platform.python_version(),
        },
    }


def _promise(trained: Trained) -> Card:
    """The promise and the parts that chose its bound; empty without a promise."""
    costs = trained.options.costs
    if trained.proof is None or costs.max_escape_rate is None:
        return {}
    parts = len(np.unique(trained.proof.groups))
    missed = misses_allowed(parts, costs.max_escape_rate, costs.confidence)
    stated = {"max_escape_rate": costs.max_escape_rate, "confidence": costs.confidence}
    return {"promise": stated | {"parts": parts, "missed": missed}}


def _multiplications(trained: Trained) -> int:
    """For a mean image, where the strong network of a cascade judges some."""
    whole = multiplications(trained.shape)
    if not trained.shape.is_cascade or trained.choice is None:
        return whole
    small = multiplications(small_of(trained.shape))
    share: float = trained.choice["cascade"]["share"]
    return small + round(share * (whole - small))


def _blind(trained: Trained) -> dict[str, float]:
    """The accuracies of models that see no part. Those of a cross-fitted set without a test part judge each fold by the
    others, since the first alone may hold four images."""
    split, train, test = trained.split, trained.train, trained.test
    files = _by_sizes(split.train)
    if trained.tests_itself and trained.fold_of is not None:
        found = crossed_accuracies((files[0] | blind_features(train.images), files[1]), trained.fold_of)
    else:
        found = accuracies(files, _by_sizes(split.test)) | baselines(
            train.images, train.labels.tolist(), test.images, test.labels.tolist()
        )
    return {name: round(value, 4) for name, value in found.items()}


def _by_sizes(records: Sequence[Record]) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int64]]:
    """For models that know the bytes of each file alone, or the pixels of its sides: these tell cameras and settings
    apart. With the labels."""

    def of_file(record: Record) -> list[float]:
        return [max(1, record.path.stat().st_size)]

    def of_sides(record: Record) -> list[float]:
        with Image.open(record.path) as image:
            return [*image.size]

    found = {
        name: np.log([of(record) for record in records])
        for name, of in (("file_size", of_file), ("image_size", of_sides))
    }
    return found, np.array([record.label for record in records], np.int64)


def asked(options: Options) -> Card:
    """The costs in words, and the share of defects that the scores are meant for, or None."""
    return {"costs": _costs(options), "prevalence": options.costs.prevalence}


def _costs(options: Options) -> str:
    if options.preset == "original":
        return "fixed at one half"
    costs, said = options.costs, ""
    if costs.prevalence is not None:
        said = f"{costs.prevalence:.2%} of the parts are defective, "
    if costs.max_escape_rate is not None:
        said = f"at most {costs.max_escape_rate:.2%} escapes at {costs.confidence:.0%} confidence, {said}"
    return (
        f"{said}an escape costs {costs.escape:g}, a false reject {costs.reject:g}, a review {costs.review:g}"
    )


def limits_of(trained: Trained) -> str:
    looked = trained.looked
    test = trained.test
    goods, defective = (len(np.unique(test.groups[test.labels == label])) for label in (0, 1))
    rates = {"escape": defective, "false-reject": goods}
    fine = [f"no {name} rate finer than 1 in {count}" for name, count in rates.items() if count]
    none = [f"no {name} rate at all" for name, count in rates.items() if not count]
    said = [
        f"The test part holds {defective} groups with defects and {goods} with good images: it supports "
        f"{', and '.join(fine + none)}."
    ]
    unseen = (
        "part" if looked.knows_parts else "image"
    )  # images of a part that nothing names may lie in two folds
    if trained.tests_itself:
        said.append(
            f"So few parts leave no test part: every figure is of models that had not seen the {unseen} that they "
            "judged, and the model that serves has learned all of them. Other conditions were not tried."
        )
    elif trained.fold_of is not None:
        said.append(
            "So few parts leave no validation part: threshold and calibration are those of models that had not seen "
            f"the {unseen} that they judged, and the model that serves has learned all of them."
        )
    if looked.proposed:
        said.append(
            f"The parts ({len(looked.proposed)}) are those that file names propose and likeness bears out."
        )
    if looked.families:
        said.append(
            f"The parts ({looked.families}) are families of images that are alike in pretrained features. One may hold "
            "several parts, or a part may lie in two."
        )
    if looked.turned:
        said.append(f"Images of one view, turned or mirrored, are one group ({len(looked.turned)} views).")
    said += withheld_lines(looked, trained.split)
    if trained.proof is not None and not looked.knows_parts:
        said.append("The promise takes each group for a part: it may fail where one part lies in two.")
    if len({r.label for r in trained.split.test}) < 2:
        said.append("The test part shows one label only, and so no accuracy.")
    if looked.contradictions:
        said.append(f"{len(looked.contradictions)} images carried both labels and were left out.")
    return " ".join(said)
