"""`python -m training quality`: train and measure on the sets that are present, and write docs/quality.md.

A set is a folder with images.csv under --data, or a package (elpv-dataset). Each is trained with the one recipe
and, where asked, with the original preset on the same split; casting_product also by grouped folds.
Every row is kept as JSON in the runs folder as soon as it is known: a run that is cut short is taken up again.
"""

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from training.data.elpv import PACKAGE, write_elpv
from training.data.folder import Record, check
from training.data.splits import Split, grouped_folds, part_hash
from training.pipeline import Options, choose_split, train_folder, train_split
from training.proof.metrics import by_groups
from training.synthetic.render import render

FOLDS = 5
RENDERED = (8000, 11), (2000, 12)  # pictures and seed of the train and of the test set


@dataclass(frozen=True)
class Protocol:
    """One row of the table: which data, which split, what others have published for it."""

    name: str
    folder: str
    split: str  # grouped, random or folds
    published: str
    model: str = ""  # the name of its artifact where that is shipped


PROTOCOLS = (
    Protocol(
        "solar", "infrared_solar_modules", "grouped", "CNNs 92.1–95.0 % (random splits)", "solar-modules"
    ),
    Protocol("casting, random", "casting_product", "random", "CNNs 99.6–99.7 % (on a split that leaks)"),
    Protocol("casting, unseen parts", "casting_product", "folds", "none seen"),
    Protocol("elpv", "elpv", "grouped", "88–90 %"),
    Protocol("rendered parts", "rendered", "grouped", "own set"),
)


def quality(
    data: Path, runs: Path, page: Path, *, budget: float, original: bool, only: list[str], threads: int
) -> None:
    """Train what is present and not yet in `runs`, then write `page`."""
    for protocol in PROTOCOLS:
        if only and protocol.name not in only:
            continue
        folder = _present(protocol.folder, data, runs)
        if folder is None:
            print(f"{protocol.name}: not present, left out")
            continue
        for preset in ("recipe", "original") if original else ("recipe",):
            row = runs / f"{_slug(protocol.name)}-{preset}" / "row.json"
            if not row.exists():
                print(f"== {protocol.name}, {preset}", flush=True)
                found = _measure(protocol, folder, row.parent, preset, budget, threads)
                row.write_text(json.dumps(found, indent=1) + "\n")
    page.write_text(_page(runs, budget))
    print(page)


def test_parts(data: Path, runs: Path, page: Path) -> None:
    """Write, without training anything, which pictures each set's test part holds, as a hash to be committed.

    Numbers that are chosen after looking at the test part prove nothing: the hash shows that it was fixed first.
    """
    found = json.loads(page.read_text()) if page.exists() else {}
    for protocol in PROTOCOLS:
        folder = _present(protocol.folder, data, runs)
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
) -> dict[str, Any]:
    notice = folder / "LICENSE"
    options = Options(
        name=protocol.model or _slug(protocol.name),
        output=output,
        budget_min=budget,
        preset=preset,
        split=protocol.split,
        threads=threads,
        notice=notice.read_text() if notice.exists() else "",
        start="none"
        if protocol.folder == "rendered"
        else "auto",  # the set that the shipped weights come from
    )
    say = functools.partial(print, flush=True)
    if protocol.split == "folds":
        return _by_folds(folder, options, say)
    test = folder.parent / "rendered-test" if protocol.folder == "rendered" else None
    artifact = train_folder(folder, options, test_folder=test, say=say)
    return _row(artifact.card)


def _row(card: dict[str, Any]) -> dict[str, Any]:
    test = card["test"]
    return {
        "pictures": card["data"]["images"],
        "split": card["data"]["split"],
        "test": test["pictures"],
        "groups": test["groups"],
        "test_sha256": card["data"]["test_sha256"],
        "scorings": card["data"]["test_scorings"],
        "minutes": card["training"]["seconds"] / 60,
        "cpu_minutes": card["training"]["cpu_seconds"] / 60,
        "stop_reason": card["training"]["stop_reason"],
        "size": f"{card['preprocessing']['width']}x{card['preprocessing']['height']}",
        "images_per_second": card["speed"]["images_per_second"],
        "accuracy": test["accuracy"],
        "accuracy_by_groups": test["accuracy_by_groups"],
        "escapes": f"{test['escapes']}/{test['defects']}",
        "false_rejects": f"{test['false_rejects']}/{test['pictures'] - test['defects']}",
        "auroc": test["auroc"],
        "ece": test["ece"],
        "histogram": card["baselines"]["histogram"],
    }


def _by_folds(folder: Path, options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Every part is judged once, by a model that never saw it; the budget is shared by the folds."""
    from shared.errors import ItemError
    from shared.registry.artifact import read_artifact
    from training.proof.evaluate import score_records

    looked = check(folder)
    hits: list[bool] = []
    labels: list[int] = []
    groups: list[str] = []
    rows = []
    missed: dict[str, list[bool]] = {}
    for number, test in enumerate(grouped_folds(looked.records, FOLDS, seed=options.seed)):
        inside = {record.path for record in test}
        rest = [record for record in looked.records if record.path not in inside]
        split = _inner(rest, test, options.seed)
        own = replace(
            options,
            output=options.output / f"fold-{number}",
            budget_min=options.budget_min / FOLDS,
            split="grouped",
        )
        written = own.output / f"{own.name}.gonogo"
        if not written.exists() or "test" not in read_artifact(written).card:
            train_split(looked, split, f"fold {number} of {FOLDS} by whole groups", own, say=say)
        artifact = read_artifact(written)
        rows.append(_row(artifact.card))
        scores = score_records(artifact, test, threads=options.threads)
        for record, score in zip(test, scores, strict=True):
            if isinstance(score, ItemError):
                continue
            hit = (score >= artifact.operating_point.threshold) == bool(record.label)
            hits.append(hit)
            labels.append(record.label)
            groups.append(record.group)
            missed.setdefault(f"{record.group} ({'defect' if record.label else 'good'})", []).append(hit)
    _, numbers = np.unique(groups, return_inverse=True)
    hit_array, label_array = np.array(hits), np.array(labels)
    interval = by_groups(hit_array, numbers.astype(np.int64))
    worst = sorted(((np.mean(h), len(h), name) for name, h in missed.items() if np.mean(h) < 0.9))
    return {
        **rows[0],
        "pictures": len(looked.records),
        "split": f"{FOLDS} folds by whole groups",
        "test": len(hits),
        "groups": len(set(groups)),
        "test_sha256": "all, by folds",
        "minutes": sum(row["minutes"] for row in rows),
        "cpu_minutes": sum(row["cpu_minutes"] for row in rows),
        "accuracy": {"value": interval.value, "low": interval.low, "high": interval.high},
        "accuracy_by_groups": {"value": interval.value, "low": interval.low, "high": interval.high},
        "escapes": f"{int((~hit_array & (label_array == 1)).sum())}/{int(label_array.sum())}",
        "false_rejects": f"{int((~hit_array & (label_array == 0)).sum())}/{int((label_array == 0).sum())}",
        "auroc": float(np.mean([row["auroc"] for row in rows])),
        "ece": float(np.mean([row["ece"] for row in rows])),
        "missed_parts": [
            f"part {name}: {share:.0%} of {count} pictures right" for share, count, name in worst
        ],
    }


def _inner(rest: list[Record], test: list[Record], seed: int) -> Split:
    """Train and validation out of what the fold leaves, by whole groups."""
    validation = grouped_folds(rest, FOLDS, seed=seed)[0]
    taken = {record.path for record in validation}
    return Split([record for record in rest if record.path not in taken], validation, test)


def _present(name: str, data: Path, runs: Path) -> Path | None:
    if name == "elpv":
        return write_elpv(runs / "elpv") if find_spec(PACKAGE) else None
    if name == "rendered":
        folders = runs / "rendered", runs / "rendered-test"
        for folder, (count, seed) in zip(folders, RENDERED, strict=True):
            if not (folder / "images.csv").exists():
                render(folder, count=count, seed=seed, masks=folder is folders[0])
        return folders[0]
    return data / name if (data / name / "images.csv").exists() else None


def _slug(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")


def _page(runs: Path, budget: float) -> str:
    lines = [
        "# Quality",
        "",
        f"Written by `make quality` (`python -m training quality`); one recipe, at most {budget:g} CPU minutes a row. "
        "Accuracy is at the operating point chosen on the validation part; the interval is 95 %, Wilson's over "
        "pictures, or from resampling whole groups where the set names parts. *Budget spent*: the epoch that was "
        "running then was finished and the best one kept, but more epochs might have helped.",
        "",
        "| set | preset | split | pictures (test) | size | minutes (CPU) | images/s | accuracy | escapes | "
        "false rejects | AUROC | ECE | histogram alone | published |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    notes: list[str] = []
    hashes: list[str] = []
    for protocol in PROTOCOLS:
        for preset in ("recipe", "original"):
            path = runs / f"{_slug(protocol.name)}-{preset}" / "row.json"
            if not path.exists():
                continue
            row = json.loads(path.read_text())
            interval = row["accuracy_by_groups" if protocol.split == "folds" else "accuracy"]
            cut = ", budget spent" if row["stop_reason"] == "budget spent" else ""
            lines.append(
                f"| {protocol.name} | {preset}{cut} | {row['split']} | {row['pictures']} ({row['test']}) "
                f"| {row['size']} | {row['minutes']:.1f} ({row['cpu_minutes']:.1f}) | {row['images_per_second']:.0f} "
                f"| {interval['value']:.2%} ({interval['low']:.2%}–{interval['high']:.2%}) | {row['escapes']} "
                f"| {row['false_rejects']} | {row['auroc']:.4f} | {row['ece']:.4f} | {row['histogram']:.2%} "
                f"| {protocol.published} |"
            )
            hashes.append(f"- {protocol.name}, {preset}: `{row['test_sha256']}`, scoring {row['scorings']}")
            notes += [f"- {protocol.name}, {preset}: {line}" for line in row.get("missed_parts", [])]
    missing = [
        f"{protocol.name} ({preset})"
        for protocol in PROTOCOLS
        for preset in ("recipe", "original")
        if not (runs / f"{_slug(protocol.name)}-{preset}" / "row.json").exists()
    ]
    if missing:
        lines += ["", f"Not measured yet: {', '.join(missing)}."]
    lines += ["", "Test parts (sha256 of the sorted ids, and how often each was scored):", "", *hashes]
    if notes:
        lines += [
            "",
            "Parts that a model which never saw them gets wrong more than one time in ten:",
            "",
            *notes,
        ]
    lines += [
        "",
        "## Why the two casting figures differ",
        "",
        "A random split puts photographs of one casting on both sides, so the model is asked about parts that it "
        "has already seen and mostly has to recognise them. By folds it is asked about castings that it has never "
        "seen, which is what a factory does every day. The set shows few good parts, so one unlucky part moves the "
        "second figure by whole points: read its interval, not its digits.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    from training.__main__ import main

    sys.exit(main(["quality", *sys.argv[1:]]))
