"""Which split a training uses."""

from training.data.records import DataError
from training.data.report import Report
from training.data.splits import Split, given_split, grouped_split, random_split
from training.options import Options


def choose_split(looked: Report, options: Options) -> tuple[Split, str]:
    """The split and a sentence on how it was made. A given split that leaks is set aside, and that is
    said."""
    wanted = "random" if options.preset == "original" and options.split == "auto" else options.split
    if wanted in ("auto", "given") and not (looked.leaks and wanted == "auto"):
        given = given_split(looked.records, seed=options.seed)
        if given is not None and len({record.label for record in given.train}) == 2:
            return given, "as the data names it" + (
                ", leaking groups moved into train" if looked.leaks else ""
            )
        if wanted == "given":
            raise DataError("the data names no split into train and test with both labels to train on")
    if wanted == "random":
        return random_split(looked.records, seed=options.seed), "random 70/15/15, groups disregarded"
    how = "random 70/15/15 by whole groups"
    if {record.label for record in looked.records if record.split == "train"} == {0}:
        how += " (the given train part holds good images only)"
    if looked.leaks:
        how += f" (the given split leaked {len(looked.leaks)} groups and was set aside)"
    return grouped_split(looked.records, seed=options.seed), how
