"""The facts of a training that its card states, apart from the figures of the test part."""

import platform
from dataclasses import asdict
from importlib.metadata import version

import numpy as np
from PIL import Image

from shared.clock import now, rfc3339
from shared.json_text import Card
from shared.vision.net import multiplications, small_of
from training.data.records import Record
from training.data.splits import part_hash
from training.options import Options
from training.output.withheld import withheld_lines
from training.proof.baselines import baselines, logistic_accuracy
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
    # The baselines of a cross-fitted set without a test part learn four folds and are judged on the first.
    judged, own = np.zeros(len(train), bool), np.ones(len(test), bool)
    if trained.tests_itself and trained.fold_of is not None:
        judged = own = trained.fold_of == 0
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
        "baselines": {
            name: round(value, 4)
            for name, value in baselines(
                train.images[~judged],
                train.labels[~judged].tolist(),
                test.images[own],
                test.labels[own].tolist(),
            ).items()
        }
        | _by_sizes(trained),
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


def _by_sizes(trained: Trained) -> dict[str, float]:
    """The accuracies of models that know the bytes of each file alone, or the pixels of its sides: these tell cameras
    and settings apart."""

    def of_file(record: Record) -> list[float]:
        return [max(1, record.path.stat().st_size)]

    def of_sides(record: Record) -> list[float]:
        with Image.open(record.path) as image:
            return [*image.size]

    train, test = trained.split.train, trained.split.test
    if trained.tests_itself and trained.fold_of is not None:
        first = (trained.fold_of == 0).tolist()
        train = [record for record, own in zip(train, first, strict=True) if not own]
        test = [record for record, own in zip(test, first, strict=True) if own]
    labels = [np.array([record.label for record in part], np.float64) for part in (train, test)]
    found = {}
    for name, of in (("file_size", of_file), ("image_size", of_sides)):
        known, asked = (np.log([of(record) for record in part]) for part in (train, test))
        found[name] = round(logistic_accuracy(known, labels[0], asked, labels[1]), 4)
    return found


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


def limits_of(trained: Trained, test_groups: int) -> str:
    looked = trained.looked
    said = [
        f"The test part holds {test_groups} groups: rates finer than 1 in {test_groups} are not supported by it."
    ]
    if trained.tests_itself:
        said.append(
            "So few parts leave no test part: every figure is of models that had not seen the part that they judged, "
            "and the model that serves has learned all of them. Other conditions were not tried."
        )
    elif trained.fold_of is not None:
        said.append(
            "So few parts leave no validation part: threshold and calibration are those of models that had not seen "
            "the part that they judged, and the model that serves has learned all of them."
        )
    if looked.proposed:
        said.append(
            f"The parts ({len(looked.proposed)}) are those that file names propose and likeness bears out."
        )
    if looked.turned:
        said.append(f"Images of one view, turned or mirrored, are one group ({len(looked.turned)} views).")
    said += withheld_lines(looked, trained.split)
    if trained.proof is not None and not looked.knows_parts:
        said.append("The promise takes each group for a part: it may fail where one part lies in two.")
    if trained.options.costs.prevalence is not None and len({r.label for r in trained.split.test}) < 2:
        said.append("The test part shows one label only, and so no accuracy on a line with both.")
    if looked.contradictions:
        said.append(f"{len(looked.contradictions)} images carried both labels and were left out.")
    return " ".join(said)
