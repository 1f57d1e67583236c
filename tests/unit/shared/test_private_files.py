"""Programs that are started one by one leave nothing that every user of the host can read."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.processes import ROOT, environment

PROGRAMS = ("shared.store.migrations", "web.server", "worker")


def open_to_all(folder: Path) -> list[str]:
    return [
        str(path)
        for path in (folder, *folder.rglob("*"))
        if not path.is_symlink() and path.stat().st_mode & stat.S_IRWXO
    ]


def test_a_new_installation_has_no_file_that_all_may_read(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    command = [sys.executable, "-m", "shared.store.migrations"]
    asked = environment(GONOGO_DATA_DIR=str(data_dir))
    subprocess.run(command, cwd=ROOT, env=asked, check=True, preexec_fn=lambda: os.umask(0o022))
    assert (data_dir / "gonogo.db").exists()
    assert open_to_all(data_dir) == []


def test_a_data_dir_that_all_could_read_is_closed(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "gonogo.db").write_text("rows")
    data_dir.chmod(0o755)
    code = "import sys, pathlib; from shared.private_files import close_to_strangers as c; c(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(data_dir)], cwd=ROOT, check=True)
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o750


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_begins_by_closing_its_files(program: str) -> None:
    source = (ROOT / program.replace(".", "/") / "program.py").read_text()
    assert "close_to_strangers(settings.data_dir)" in source
