"""Keep families of like images apart where nothing tells which images show one part, and the set shows parts again."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from training.data.records import ALONE, Source, root_of, source_of
from training.data.report import Report
from training.data.splits import rarer_groups
from training.network import preprocessing_of
from training.options import Options
from training.progress import Say
from training.teacher.families import MOST, are_enough, families_of
from training.teacher.features import Extractor, sizes_for, strong_preprocessing
from training.teacher.weights import installed

_SHARE, _SHARE_OF_ALL = 0.1, 0.25  # of the budget, for the images of a sample and for all
_SECONDS = 0.03  # an image on one core: not measured, since a seed has to give the same split anywhere
_LEAST_FAMILIES = 4  # of each label: with fewer, no network can be chosen or judged


def keep_families_apart(looked: Report, folder: Path | Source, options: Options, say: Say) -> None:
    """Note in the report of a folder how much better its images are judged where like ones lie on both sides, and where
    that is far better, make each family a group. Nothing is done where the data tells parts, or where the options
    choose another split."""
    if looked.knows_parts or looked.named or not _may(options):
        return
    budget = options.budget_min * 60
    count = min(MOST, len(looked.records), int(_SHARE * budget / _SECONDS))
    places = np.sort(np.random.default_rng(options.seed).permutation(len(looked.records))[:count])
    sample = [looked.records[place] for place in places]
    if not are_enough(sample):
        return
    strong = strong_preprocessing(preprocessing_of(looked, options))
    extractor = Extractor(strong, sizes_for(strong)[:1], threads=options.threads)
    say(f"pretrained features of {count} images, to see whether the set shows parts again")
    features = extractor.of_files([record.path for record in sample]).pooled
    found = families_of(features, sample)
    looked.like_images = found.worth
    say(str(found.worth))
    if not found.worth.tell_too_much or _SECONDS * len(looked.records) > _SHARE_OF_ALL * budget:
        return
    if count < len(looked.records):
        features = extractor.of_files([record.path for record in looked.records]).pooled
    numbers = found.of(features, looked.records)
    grouped = [
        replace(record, group=f"{ALONE}family-{number}")
        for record, number in zip(looked.records, numbers, strict=True)
    ]
    if rarer_groups(grouped) < _LEAST_FAMILIES:
        return
    looked.records, looked.families = grouped, len(np.unique(numbers))
    looked.note_leaks(root_of(source_of(folder).path))
    say(f"{looked.families} families of like images, each kept on one side; --part REGEX names the parts")


def _may(options: Options) -> bool:
    return (
        options.preset == "recipe"
        and options.teacher
        and options.split in ("auto", "grouped")
        and installed()
    )
