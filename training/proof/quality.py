"""`python -m training quality`: train and measure on the sets that are present, and write docs/quality.md.

A set is a folder with images.csv under --data, or a package (elpv-dataset). Each is trained with the one recipe
and, where asked, with the original preset on the same split; casting_product also by grouped folds.
Every row is kept as JSON in the runs folder as soon as it is known: a run that is cut short is taken up again.
"""

import functools
import json
import sys
from pathlib import Path

from shared.json_text import Card
from training.data.check import check
from training.data.choose import choose_split
from training.data.splits import grouped_folds, part_hash
from training.options import Options
from training.pipeline import train_folder
from training.proof.folds import FOLDS, by_folds
from training.proof.guard_table import kept_part
from training.proof.operating_point import Costs
from training.proof.page import page_of
from training.proof.protocols import PROTOCOLS, Protocol, present, slug
from training.proof.rows import row_of


def quality(
    data: Path, runs: Path, page: Path, *, budget: float, original: bool, only: list[str], threads: int
) -> None:
    """Train what is present and not yet in `runs`, then write `page`; the guard's tables on it stay."""
    for protocol in PROTOCOLS:
        if only and protocol.name not in only:
            continue
        folder = present(protocol.folder, data, runs)
        if folder is None:
            print(f"{protocol.name}: not present, left out")
            continue
        for preset in ("recipe", "original") if original else ("recipe",):
            row = runs / f"{slug(protocol.name)}-{preset}" / "row.json"
            if not row.exists():
                print(f"== {protocol.name}, {preset}", flush=True)
                found = _measure(protocol, folder, row.parent, preset, budget, threads)
                row.write_text(json.dumps(found, indent=1) + "\n")
    guard = kept_part(page.read_text()) if page.exists() else ""
    page.write_text("\n".join([page_of(runs, budget), guard]) if guard else page_of(runs, budget))
    print(page)


def test_parts(data: Path, runs: Path, page: Path) -> None:
    """Write, without training anything, which images each set's test part holds, as a hash to be committed.

    Numbers that are chosen after looking at the test part prove nothing: the hash shows that it was fixed first.
    """
    found = json.loads(page.read_text()) if page.exists() else {}
    for protocol in PROTOCOLS:
        folder = present(protocol.folder, data, runs)
        if folder is None:
            continue
        looked = check(folder)
        if protocol.split == "folds":
            folds = grouped_folds(looked.records, FOLDS, seed=0)
            found[protocol.name] = {f"fold-{i}": [len(fold), part_hash(fold)] for i, fold in enumerate(folds)}
            continue
        test = (
            check(folder.parent / "rendered-test").records
            if protocol.folder == "rendered"
            else choose_split(looked, Options(name="", output=runs, split=protocol.split))[0].test
        )
        found[protocol.name] = [len(test), part_hash(test)]
    page.write_text(json.dumps(found, indent=1) + "\n")


def _measure(
    protocol: Protocol, folder: Path, output: Path, preset: str, budget: float, threads: int
) -> Card:
    notice = folder / "LICENSE"
    options = Options(
        name=protocol.model or slug(protocol.name),
        output=output,
        budget_min=budget,
        preset=preset,
        split=protocol.split,
        threads=threads,
        # Both mistakes alike, since published figures are accuracies.
        costs=Costs(escape=1.0, reject=1.0),
        notice=notice.read_text() if notice.exists() else "",
        start="none"
        if protocol.folder == "rendered"
        else "auto",  # the set that the shipped weights come from
    )
    say = functools.partial(print, flush=True)
    if protocol.split == "folds":
        return by_folds(folder, options, say)
    test = folder.parent / "rendered-test" if protocol.folder == "rendered" else None
    artifact = train_folder(folder, options, test_folder=test, say=say)
    return row_of(artifact.card)


if __name__ == "__main__":
    from training.__main__ import main

    sys.exit(main(["quality", *sys.argv[1:]]))
