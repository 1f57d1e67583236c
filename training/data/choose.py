"""Which split a training uses."""

from collections.abc import Sequence

from training.data.promised import validation_share
from training.data.records import DataError, Record
from training.data.report import Report
from training.data.splits import FRACTIONS, VALIDATION_SHARE, Split, given_split, grouped_split, random_split
from training.options import Options


def choose_split(looked: Report, options: Options) -> tuple[Split, str]:
    """The split and a sentence on how it was made. A given split that leaks is set aside, and that is said.

    The validation part is as large as a promised escape rate needs. Raises DataError where the data can't support it.
    """
    records = looked.records
    wanted = "random" if options.preset == "original" and options.split == "auto" else options.split
    if wanted in ("auto", "given") and not (looked.leaks and wanted == "auto"):
        given = _given(records, options)
        if given is not None and len({record.label for record in given.train}) == 2:
            return given, "as the data names it" + (
                ", leaking groups moved into train" if looked.leaks else ""
            )
        if wanted == "given":
            raise DataError("the data names no split into train and test with both labels to train on")
    fractions = _fractions(records, options)
    shares = "/".join(f"{100 * fraction:.0f}" for fraction in fractions)
    if wanted == "random":
        split = random_split(records, seed=options.seed, fractions=fractions)
        return split, f"random {shares}, groups disregarded"
    how = f"random {shares} by whole groups{set_aside(looked)}"
    return grouped_split(records, seed=options.seed, fractions=fractions), how


def set_aside(looked: Report) -> str:
    """Why a split that the data names is set aside, in parentheses; empty where it names none."""
    splits = {record.split for record in looked.records}
    named = {part: {record.label for record in looked.records if record.split == part} for part in splits}
    if splits == {None}:
        return ""
    if looked.leaks:
        why = f"leaked {len(looked.leaks)} groups"
    elif None in splits:
        why = f"names no part for {sum(record.split is None for record in looked.records)} images"
    elif named.get("train") == {0}:
        why = "has good images only to train on"
    elif not {"train", "test"} <= splits:
        why = "names no part to train on" if "train" not in splits else "names no test part"
    else:
        why = "has a part of one label"
    return f" (the given split {why} and is set aside)"


def given_test(looked: Report) -> tuple[list[Record], list[Record]] | None:
    """The records to learn from and the test part, where the data names both, without a leak and with both labels in
    each."""
    if looked.leaks:
        return None
    split = given_split(looked.records, seed=0)
    if split is None:
        return None
    learned = [*split.train, *split.validation]
    both = all({record.label for record in part} == {0, 1} for part in (learned, split.test))
    return (learned, split.test) if both else None


def _fractions(records: Sequence[Record], options: Options) -> Sequence[float]:
    share = validation_share(records, options.costs, FRACTIONS[1])
    return FRACTIONS if share == FRACTIONS[1] else (1 - share - FRACTIONS[2], share, FRACTIONS[2])


def _given(records: Sequence[Record], options: Options) -> Split | None:
    """The split that the data names, with a validation part out of train where the data names none."""
    if any(record.split == "validation" for record in records):
        return given_split(records, seed=options.seed)
    train = [record for record in records if record.split != "test"]
    both = {record.label for record in train} == {0, 1}
    share = validation_share(train, options.costs, VALIDATION_SHARE) if both else VALIDATION_SHARE
    return given_split(records, seed=options.seed, validation_share=share)
