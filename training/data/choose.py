"""Which split a training uses."""

from collections.abc import Sequence
from dataclasses import replace

from training.data.promised import proof_of
from training.data.records import DataError, Record
from training.data.report import Report
from training.data.splits import FRACTIONS, Split, given_split, grouped_split, random_split
from training.options import Options


def choose_split(looked: Report, options: Options) -> tuple[Split, str]:
    """The split and a sentence on how it was made. A given split that leaks is set aside, and that is said.

    A promised escape rate first takes its own part, whole groups outside a test part that the data names. Raises
    DataError where the data can't support it.
    """
    wanted = "random" if options.preset == "original" and options.split == "auto" else options.split
    if options.costs.max_escape_rate is None:
        return _split(looked, looked.records, options.seed, wanted)
    given = _given(looked, looked.records, options.seed, wanted)
    outside = looked.records if given is None else [*given.train, *given.validation]
    proof = proof_of(outside, options.costs, options.seed)
    taken = {record.group for record in proof}
    rest = [record for record in looked.records if record.group not in taken]
    split, how = _split(looked, rest, options.seed, wanted)
    how = f"{how}, without {len(taken)} groups that only the bound of the promise sees"
    return replace(split, proof=proof), how


def _split(looked: Report, records: Sequence[Record], seed: int, wanted: str) -> tuple[Split, str]:
    """The split of these records, which are all that were looked at or those that a promise leaves."""
    given = _given(looked, records, seed, wanted)
    if given is not None:
        said = ", leaking groups moved into train" if looked.leaks else ""
        named = any(record.split == "validation" for record in records)
        if named and any(record.split != "validation" for record in given.validation):
            said += ", with a validation part of both labels in place of the named one"
        return given, f"as the data names it{said}"
    if wanted == "given":
        raise DataError("the data names no split into train and test with both labels to train on")
    shares = "/".join(f"{100 * fraction:.0f}" for fraction in FRACTIONS)
    if wanted == "random":
        return random_split(records, seed=seed), f"random {shares}, groups disregarded"
    return grouped_split(records, seed=seed), f"random {shares} by whole groups{set_aside(looked)}"


def _given(looked: Report, records: Sequence[Record], seed: int, wanted: str) -> Split | None:
    """The split that the data names, with a validation part out of train where the data names none; None where it may
    not be used."""
    if wanted not in ("auto", "given") or (looked.leaks and wanted == "auto"):
        return None
    given = given_split(records, seed=seed)
    return given if given is not None and len({record.label for record in given.train}) == 2 else None


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
