"""Row 47: a hot folder whose watcher and service are killed again and again. GONOGO_HOT_FILES and GONOGO_HOT_KILLS
set other numbers than these, such as 100,000 files and 50 kills."""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from shared.store.tables import Batch, Item
from tests.faults.rig import Rig
from tests.harness.images import jpeg
from tests.harness.processes import ROOT, environment, until

_FILES = int(os.environ.get("GONOGO_HOT_FILES", "3000"))
_KILLS = int(os.environ.get("GONOGO_HOT_KILLS", "20"))
_UNNOTED = 3
pytestmark = pytest.mark.timeout(max(170, _FILES // 20))


@pytest.mark.row(47)
@pytest.mark.parametrize("drive", ["events", "network"])
def test_a_hot_folder_judges_each_file_once_whatever_is_killed(ill: Rig, tmp_path: Path, drive: str) -> None:
    folder, log = tmp_path / "line 3", tmp_path / "watcher.log"
    folder.mkdir()
    chance = random.Random(5)
    writer = threading.Thread(target=_write_all, args=(folder, chance))
    writer.start()
    arguments = ["--poll", "--rescan", "0.5"] if drive == "network" else []
    killed = Counter[str]()
    # Random kills seldom meet the moment between the service's answer and its note in the journal.
    for _ in range(_UNNOTED):
        watcher = _start(ill, folder, log, arguments, "watch.answered=kill")
        assert watcher.wait(60) == -signal.SIGKILL
        killed["watcher"] += 1
    watcher = _start(ill, folder, log, arguments)
    for number in range(_KILLS):
        _wait_for_more(folder)
        time.sleep(chance.uniform(0, 0.3))
        if number % 3 == 2:
            name = ("web", "bulk")[number % 2]
            ill.restart(name)
            killed[name] += 1
        if number % 3 != 2 or number % 2:
            watcher.kill()
            watcher.wait(30)
            watcher = _start(ill, folder, log, arguments)
            killed["watcher"] += 1
    writer.join()
    until(
        lambda: _moved(folder) == _FILES,
        30 + _FILES / 50,
        f"all files have left the folder; {log.read_text()[-800:]}",
    )
    # A second content under a name that was judged is another image; the same content again is not.
    (again := folder / "000/part-00000.jpg").write_bytes((folder / "done/000/part-00000.jpg").read_bytes())
    until(lambda: not again.exists(), 20, "the copy has left the folder")
    watcher.terminate()
    watcher.wait(30)
    ill.proof(
        f"{killed['watcher']} kills of the watcher, {_UNNOTED} of them before it had noted an answer;"
        f" {killed['web']} of the web, {killed['bulk']} of the worker"
    )
    with ill.database.read() as connection:
        batches = dict(
            connection.execute(select(Batch.id, Batch.total).where(Batch.id.not_in(list(ill.accepted)))).all()
        )
        names = Counter(
            connection.scalars(select(Item.filename).where(Item.batch_id.in_(list(batches)))).all()
        )
    assert len(names) == _FILES
    assert set(names.values()) == {1}, "no file is judged twice"
    ill.accepted |= batches
    ill.check()


def _wait_for_more(folder: Path) -> None:
    before = _moved(folder)
    until(lambda: _moved(folder) > before or _moved(folder) == _FILES, 60, "files are judged")


def _name(number: int) -> str:
    return f"{number // 1000:03d}/part-{number:05d}.jpg"


def _write_all(folder: Path, chance: random.Random) -> None:
    """Write the files as cameras do: some in pieces, some under another name that is then changed."""
    for number in range(_FILES):
        path, data = folder / _name(number), jpeg(chance, side=32, blocks=4)
        path.parent.mkdir(exist_ok=True)
        if number % 3 == 0:
            path.write_bytes(data)
        elif number % 3 == 1:
            hidden = path.with_name(f".{path.name}")
            hidden.write_bytes(data)
            hidden.rename(path)
        else:
            with path.open("wb") as file:
                file.write(data[:100])
                file.flush()
                if number % 100 == 2:
                    time.sleep(0.05)
                file.write(data[100:])


def _start(
    ill: Rig, folder: Path, log: Path, arguments: list[str], points: str = ""
) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "shared.cli.main",
        "watch-folder",
        str(folder),
        "--settle",
        "0.2",
        *arguments,
    ]
    keys = {"GONOGO_URL": ill.stack.url, "GONOGO_API_KEY": ill.stack.key}
    faults = {"GONOGO_FAILPOINTS_DIR": str(log.parent), "GONOGO_FAILPOINTS": points}
    with log.open("ab") as output:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment(**keys, **faults), stdout=output, stderr=output
        )


def _moved(folder: Path) -> int:
    places = (folder / "done", folder / "failed")
    return sum(1 for _ in itertools.chain.from_iterable(place.glob("*/*.jpg") for place in places))
