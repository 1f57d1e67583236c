"""docs/quality.md, written from the rows that are known."""

import json
from pathlib import Path

from training.proof.protocols import PROTOCOLS, slug


def page_of(runs: Path, budget: float) -> str:
    lines = [
        "# Quality",
        "",
        f"Written by `make quality` (`python -m training quality`); one recipe, at most {budget:g} CPU minutes a "
        "training. With folds each fold is a training of its own. Accuracy is at the operating point chosen on the "
        "validation part; the interval is 95 %, Wilson's over images, or from resampling whole groups where the set "
        "names parts. *Budget spent*: the epoch that was running then was finished and the best one kept, but more "
        "epochs might have helped. *Before*: the recipe without pretrained features, of the first preprocessing.",
        "",
        "It first says what it needs: on two cores about three and a half hours and 6 GB of memory at most, and the "
        "folders of the sets (`--data`). It runs as many rows at a time as there are cores, keeps each row in the runs "
        "folder, and takes up what is known already. Few images, good parts alone, promises, guard and heatmaps follow "
        "in the same run.",
        "",
        "| set | preset | split | images (test) | size | minutes (CPU) | images/s | before | accuracy | escapes | "
        "false rejects | AUROC | ECE | histogram alone | published |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    notes: list[str] = []
    hashes: list[str] = []
    for protocol in PROTOCOLS:
        for preset in ("recipe", "original"):
            path = runs / f"{slug(protocol.name)}-{preset}" / "row.json"
            if not path.exists():
                continue
            row = json.loads(path.read_text())
            interval = row["accuracy_by_groups" if protocol.split == "folds" else "accuracy"]
            before = protocol.before if preset == "recipe" else "–"
            cut = ", budget spent" if row["stop_reason"] == "budget spent" else ""
            lines.append(
                f"| {protocol.name} | {preset}{cut} | {row['split']} | {row['pictures']} ({row['test']}) "
                f"| {row['size']} | {row['minutes']:.1f} ({row['cpu_minutes']:.1f}) | {row['images_per_second']:.0f} "
                f"| {before} | {interval['value']:.2%} ({interval['low']:.2%}–{interval['high']:.2%}) "
                f"| {row['escapes']} | {row['false_rejects']} | {row['auroc']:.4f} | {_ece(row['ece'])} "
                f"| {row['histogram']:.2%} | {protocol.published} |"
            )
            hashes.append(f"- {protocol.name}, {preset}: `{row['test_sha256']}`, scoring {row['scorings']}")
            notes += [f"- {protocol.name}, {preset}: {line}" for line in row.get("missed_parts", [])]
    missing = [
        protocol.name
        for protocol in PROTOCOLS
        if not (runs / f"{slug(protocol.name)}-recipe" / "row.json").exists()
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


def _ece(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
