"""`python -m tests.story [IMAGES]`: a model's life on one line, as its users live it, printed with what happened.

A model is trained on rendered parts and activated. The light changes half way through the line's images: the guard and
the drift windows notice it. A person reviews a hundred items (the truth of the rendering plays the person), and a new
version is trained from the reviews. The same images are judged again and compared, new ones are scored in its shadow,
and the versions are switched.
"""

import csv
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from shared.client.client import Client
from tests.harness.processes import ROOT, environment
from tests.harness.service import Up
from training.synthetic.render import render

_TRAIN_SEED, _LINE_SEED = 41, 42
_LIGHT = 1.5  # times the light before
_KNOWN, _REVIEWS, _SHADOWED = 600, 100, 150
LINE = "A3"


def main(count: int) -> int:
    """Tell the story with `count` images on the line; 0 when each chapter ended as it should."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gonogo-story-") as name:
        folder = Path(name)
        render(folder / "known", count=_KNOWN, seed=_TRAIN_SEED)
        first = _train(folder / "known", folder / "first")
        up = Up(folder / "data", GONOGO_REVIEW_PASSED_SHARE="0.2")
        try:
            up.wait_ready()
            with up.client() as client:
                _live(client, up, folder, first, count)
        finally:
            up.stop()
            up.end()
    print(f"told in {time.monotonic() - began:.0f} s")
    return 0


def _live(client: Client, up: Up, folder: Path, first: Path, count: int) -> None:
    old = _publish(client, first)
    client.activate_model(old)
    print(f"activated {first.stem}")
    truth = _line_images(folder / "line", count)
    batches = []
    for words in ("before the lamp", "after the lamp"):
        batches.append(_inspect(client, folder / "line", truth, words))
        # Images of both lights in one window would hide the change from it.
        _wait_for_windows(client, len(batches))
    _tell_drift(client)
    _review(client, batches, truth)
    _tell_rates(client, batches, truth)
    second = _train(
        folder / "known",
        folder / "second",
        "--from-reviews",
        up.url,
        "--key-file",
        str(up.data_dir / "admin-key"),
    )
    new = _publish(client, second)
    for batch_id in batches:
        _compare(client, batch_id, new, truth)
    _shadow(client, folder, new)
    client.activate_model(new)
    assert _model_of_new_batches(client, folder) == new
    client.rollback_model(old)
    assert _model_of_new_batches(client, folder) == old
    print(f"activated {second.stem}, and rolled back to {first.stem}: new batches went by each")


def _shadow(client: Client, folder: Path, candidate: str) -> None:
    """The new version also scores the images that come, and its advice is printed."""
    shadow = client.start_shadow(candidate, share=1.0)
    files = sorted((folder / "line" / "after the lamp").glob("*.jpg"))[:_SHADOWED]
    for place, path in enumerate(files):  # as new images: a score of the same bytes is no work for a shadow
        path.write_bytes(path.read_bytes() + place.to_bytes(4))
    client.wait(client.submit(files, {"line": LINE, "name": "in the shadow"})["id"])
    ends_at = time.monotonic() + 120
    while (found := client.shadow(shadow["id"]))["images"] < len(files):
        assert time.monotonic() < ends_at, found
        time.sleep(0.5)
    client.stop_shadow(shadow["id"])
    print(
        f"shadow: {found['images']} images, {found['agree']} with the same verdict, flips {found['flip_rate']}"
    )
    print(f"  {found['recommendation']['text']}")


def _model_of_new_batches(client: Client, folder: Path) -> str:
    files = sorted((folder / "line" / "before the lamp").glob("*.jpg"))[:2]
    model = client.wait(client.submit(files)["id"])["model"]
    assert model is not None
    return model["id"]


def _train(images: Path, output: Path, *options: str) -> Path:
    argv = [
        sys.executable,
        "-m",
        "training",
        "train",
        str(images),
        "--output",
        str(output),
        "--name",
        output.name,
    ]
    began = time.monotonic()
    done = subprocess.run(
        [*argv, "--budget", "2", "--no-teacher", *options],
        env=environment(), cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    proven = next(line for line in done.stdout.splitlines() if line.startswith("test part"))
    print(f"trained {output.name} in {time.monotonic() - began:.0f} s: {proven}")
    return output / f"{output.name}.gonogo"


def _publish(client: Client, artifact: Path) -> str:
    model = client.upload_model(artifact)
    while model["status"] == "testing":
        time.sleep(0.2)
        model = next(each for each in client.models() if each["id"] == model["id"])
    assert model["status"] == "ready", model
    return model["id"]


def _line_images(folder: Path, count: int) -> dict[str, bool]:
    """Draw the line's images, the second half under a brighter lamp; whether each is defective, by file name."""
    render(folder / "drawn", count=count, seed=_LINE_SEED)
    truth = {}
    with (folder / "drawn" / "images.csv").open() as table:
        for place, row in enumerate(csv.DictReader(table)):
            when, factor = ("before the lamp", 1.0) if place < count // 2 else ("after the lamp", _LIGHT)
            (folder / when).mkdir(exist_ok=True)
            target = folder / when / f"{place:05d}.jpg"
            image = Image.open(folder / "drawn" / row["file"])
            image.point([min(255, round(level * factor)) for level in range(256)]).save(target, quality=90)
            truth[target.name] = row["label"] == "defect"
    return truth


def _inspect(client: Client, folder: Path, truth: dict[str, bool], words: str) -> str:
    files = sorted((folder / words).glob("*.jpg"))
    batch = client.wait(client.submit(files, {"line": LINE, "name": words})["id"])
    items = list(client.items(batch["id"]))
    flagged = sum("unfamiliar" in item["reasons"] for item in items)
    print(f"{words}: {_counted(client, batch['id'], truth)}; {flagged} unlike the training")
    for warning in batch["warnings"]:
        print(f"  warning: {warning['detail']}")
    return batch["id"]


def _counted(client: Client, batch_id: str, truth: dict[str, bool]) -> str:
    items = list(client.items(batch_id))
    seen = Counter((truth[item["filename"]], item["verdict"]) for item in items)
    defects = sum(truth[item["filename"]] for item in items)
    return (
        f"{len(items)} images, {defects} of them defective: {seen[True, 'no_defect']} escaped, "
        f"{seen[False, 'defect']} rejected falsely, {seen[True, 'review'] + seen[False, 'review']} to review"
    )


def _wait_for_windows(client: Client, count: int) -> None:
    ends_at = time.monotonic() + 60
    while len(windows := list(client.drift(line=LINE))) < count:
        assert time.monotonic() < ends_at, windows
        time.sleep(0.5)


def _tell_drift(client: Client) -> None:
    ends_at = time.monotonic() + 60
    while not (drifted := list(client.drift(line=LINE, drifted="true"))):
        assert time.monotonic() < ends_at, list(client.drift(line=LINE))
        time.sleep(0.5)
    for window in reversed(list(client.drift(line=LINE))):
        found = "drift" if window["drifted"] else "no drift"
        print(
            f"  window of {window['images']} images: score {window['distances']['score']:.2f}, unfamiliarity "
            f"{window['distances']['unfamiliarity']:.2f}, limit {window['limit']:.2f}: {found}"
        )
    assert len(drifted) >= 1


def _review(client: Client, batches: Sequence[str], truth: dict[str, bool]) -> None:
    given: Counter[str] = Counter()
    while sum(given.values()) < _REVIEWS and (task := client.next_review()) is not None:
        item = task["item"]
        verdict = "defect" if truth[item["filename"]] else "no_defect"
        client.review_item(item["id"], verdict, claim=task["claim"])
        given[f"{item['verdict']} was {verdict}"] += 1
    print(
        f"{sum(given.values())} reviews: " + ", ".join(f"{n} {change}" for change, n in sorted(given.items()))
    )


def _tell_rates(client: Client, batches: Sequence[str], truth: dict[str, bool]) -> None:
    escaped = defects = 0
    for batch_id in batches:
        for item in client.items(batch_id):
            defects += truth[item["filename"]]
            escaped += truth[item["filename"]] and item["verdict"] == "no_defect"
    [group] = client.agreement()["groups"]
    print(f"escape rate estimated from the reviews: {group['escape_rate']}; in truth {escaped} of {defects}")


def _compare(client: Client, batch_id: str, model: str, truth: dict[str, bool]) -> None:
    other = client.wait(client.rerun(batch_id, model=model)["id"])
    moved = [
        f"{each['count']} {each['before']} -> {each['after']}"
        for each in client.diff_counts(batch_id, other["id"])
        if each["before"] != each["after"]
    ]
    print(f"{other['name'] or batch_id} by the new version: {_counted(client, other['id'], truth)}")
    print(f"  {', '.join(moved) or 'no verdict changed'}")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 600))
