"""`python -m training quality`: train and measure on the sets that are present, and write docs/quality.md.

A set is a folder with images.csv under --data, or a package (elpv-dataset). Each is trained with the one recipe
and, where asked, with the original preset on the same split; casting_product also by grouped folds. Few images and
good ones alone follow on each set. Rows are kept as JSON in the runs folder as soon as they are known: a run that is
cut short is taken up again, and a task that fails ends no other. Several tasks run side by side, each on one core.
"""

import functools
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from traceback import format_exception

from shared.json_text import Card
from training.data.check import check
from training.data.choose import choose_split
from training.data.splits import grouped_folds, part_hash
from training.options import Options
from training.pipeline import train_folder
from training.progress import Say
from training.proof.few_rows import MINUTES as WHOLE_MINUTES
from training.proof.folds import FOLDS, by_folds
from training.proof.good_rows import MINUTES
from training.proof.guard_table import kept_part
from training.proof.operating_point import Costs
from training.proof.page import page_of
from training.proof.protocols import GOOD_ALONE, PROTOCOLS, Protocol, present, slug
from training.proof.recipe_page import rows_path, write_recipe_section
from training.proof.recipe_table import SEEDS, measured
from training.proof.rows import row_of

_MORE = 1.15  # a budget does not count checking, decoding, the guard and the last epoch
_MEMORY_GB = 3


@dataclass(frozen=True)
class Wanted:
    """`presets` without any: few images alone."""

    data: Path
    runs: Path
    page: Path
    budget: float
    presets: Sequence[str]
    only: Sequence[str]
    threads: int
    few: bool


@dataclass(frozen=True)
class Task:
    """A row by its protocol and preset, or with the preset "few" the rows of few images of the protocol's set."""

    protocol: Protocol
    preset: str
    folder: Path
    kept: Path

    @property
    def title(self) -> str:
        return f"{self.protocol.folder if self.preset == 'few' else self.protocol.name}, {self.preset}"

    def minutes(self, budget: float) -> float:
        """CPU minutes, about."""
        if self.preset == "few":
            good = 1.3 * MINUTES if self.protocol.folder in GOOD_ALONE else 0
            return good + 3 * len(SEEDS) * WHOLE_MINUTES + 5
        return _MORE * budget * (FOLDS if self.protocol.split == "folds" else 1)


def quality(wanted: Wanted, *, jobs: int) -> list[str]:
    """Measure what is present and not yet in the runs folder, `jobs` tasks at a time, then write the page; the guard's
    tables on it stay. Returns the titles of the tasks that failed: the others are measured all the same."""
    tasks = tasks_of(wanted)
    failed: list[str] = []
    print(needs(tasks, wanted, jobs), flush=True)
    with ProcessPoolExecutor(max(1, jobs), mp_context=get_context("spawn")) as pool:
        running = {pool.submit(done, task, wanted): task for task in tasks}
        for future in as_completed(running):
            title, error = running[future].title, future.exception()
            if error is None:
                print(f"== {title}: known", flush=True)
                write_page(wanted)
            else:
                failed.append(title)
                print("".join(format_exception(error)), f"== {title}: failed", sep="", flush=True)
    write_page(wanted)
    print(wanted.page)
    return failed


def tasks_of(wanted: Wanted) -> list[Task]:
    """The rows that are left, the longest first; a set that is not present is named and left out."""
    tasks: dict[Path, Task] = {}
    for protocol in PROTOCOLS:
        if wanted.only and not {protocol.name, protocol.folder} & set(wanted.only):
            continue
        folder = present(protocol.folder, wanted.data, wanted.runs)
        if folder is None:
            print(f"{protocol.name}: not present, left out")
            continue
        rows = {preset: row_path(wanted.runs, protocol, preset) for preset in wanted.presets}
        if wanted.few:
            rows["few"] = rows_path(wanted.runs, protocol.folder)
        tasks |= {
            kept: Task(protocol, preset, folder, kept) for preset, kept in rows.items() if not kept.exists()
        }
    return sorted(tasks.values(), key=lambda task: -task.minutes(wanted.budget))


def needs(tasks: Sequence[Task], wanted: Wanted, jobs: int) -> str:
    """The time and the memory that are needed, in one line."""
    minutes = sum(task.minutes(wanted.budget) for task in tasks)
    jobs = max(1, min(jobs, len(tasks)))
    return (
        f"{len(tasks)} tasks: about {minutes:.0f} CPU minutes, {minutes / jobs / 60:.1f} hours with {jobs} at a time "
        f"on a core each ({os.cpu_count()} cores here), and {_MEMORY_GB * jobs} GB of memory"
    )


def done(task: Task, wanted: Wanted) -> None:
    """Measure one task and keep its rows; runs in a process of its own."""
    say = functools.partial(print, f"[{task.title}]", flush=True)
    if task.preset == "few":
        measured(task.protocol.folder, task.folder, wanted.runs, say)
        return
    found = _measure(
        task.protocol, task.folder, task.kept.parent, task.preset, wanted.budget, wanted.threads, say
    )
    task.kept.write_text(json.dumps(found, indent=1) + "\n")


def row_path(runs: Path, protocol: Protocol, preset: str) -> Path:
    return runs / f"{slug(protocol.name)}-{preset}" / "row.json"


def write_page(wanted: Wanted) -> None:
    """The page of all rows that are known; other sections of it stay."""
    if wanted.presets:
        guard = kept_part(wanted.page.read_text()) if wanted.page.exists() else ""
        text = page_of(wanted.runs, wanted.budget)
        wanted.page.write_text("\n".join([text, guard]) if guard else text)
    if wanted.few:
        write_recipe_section(wanted.runs, wanted.page)


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
    protocol: Protocol, folder: Path, output: Path, preset: str, budget: float, threads: int, say: Say
) -> Card:
    notice = folder / "LICENSE"
    options = Options(
        name=protocol.model or slug(protocol.name),
        output=output,
        budget_min=budget,
        preset=preset,
        split=protocol.split,
        threads=threads,
        # Both mistakes alike, since published figures are accuracies; the original preset has no other way.
        costs=Costs(escape=1.0, reject=1.0) if preset == "recipe" else Costs(),
        notice=notice.read_text() if notice.exists() else "",
        start="none"
        if protocol.folder == "rendered"
        else "auto",  # the set that the shipped weights come from
    )
    if protocol.split == "folds":
        return by_folds(folder, options, say)
    test = folder.parent / "rendered-test" if protocol.folder == "rendered" else None
    artifact = train_folder(folder, options, test_folder=test, say=say)
    return row_of(artifact.card)


if __name__ == "__main__":
    from training.program import main

    sys.exit(main(["quality", *sys.argv[1:]]))
