"""The data dir is closed to others, or refused."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.cli.embedded import private
from shared.cli.embedded.data_dir import DataDirUnusable
from shared.errors import SettingsError
from shared.private_files import close_to_strangers


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The umask of the test's own process comes back."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_data_dir_and_its_files_are_closed_to_others(tmp_path: Path) -> None:
    assert private.prepare(tmp_path / "a" / "data") == []
    (tmp_path / "a" / "data" / "gonogo.db").write_text("")
    assert mode(tmp_path / "a" / "data") == 0o700
    assert mode(tmp_path / "a" / "data" / "gonogo.db") == 0o600


def test_an_open_data_dir_is_closed_and_said_with_the_advice_to_rotate_the_key(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    (data_dir / "blobs").mkdir(parents=True)
    for name in ("admin-key", "gonogo.db"):
        (data_dir / name).write_text("secret")
        (data_dir / name).chmod(0o644)
    (data_dir / "link").symlink_to("/etc/passwd")
    data_dir.chmod(0o755)
    said = private.prepare(data_dir)
    assert mode(data_dir) == 0o700
    assert {name: mode(data_dir / name) for name in ("admin-key", "gonogo.db", "blobs")} == {
        "admin-key": 0o600,
        "gonogo.db": 0o600,
        "blobs": 0o700,
    }
    assert said[0] == f"others could read {data_dir}: it is closed to them now"
    assert "gonogo keys rotate --at-once" in said[1]
    assert private.prepare(data_dir) == []


def test_a_data_dir_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(DataDirUnusable, match=f"belongs to user {mine}, who can read it: chown"):
        private.prepare(tmp_path / "data")


def test_a_data_dir_that_anyone_can_replace_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(DataDirUnusable, match=f"chmod o-w {shared}"):
        private.prepare(shared / "data")
    shared.chmod(0o1777)
    assert private.prepare(shared / "data") == []


@pytest.mark.parametrize("close", [private.prepare, close_to_strangers])
def test_a_folder_of_others_is_refused_and_stays_as_it_is(
    close: Callable[[Path], object], tmp_path: Path
) -> None:
    """`--data-dir /`, by root, would close the whole system to its users."""
    folder = tmp_path / "home"
    (folder / "photos").mkdir(parents=True)
    (folder / "lock").write_text("")
    folder.chmod(0o755)
    (folder / "photos").chmod(0o755)
    with pytest.raises(SettingsError, match=r"holds files that are not of this service \(lock, photos\)"):
        close(folder)
    assert (mode(folder), mode(folder / "photos")) == (0o755, 0o755)
    folder.chmod(0o700)
    close(folder)


def test_a_new_disk_is_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "disk" / "lost+found").mkdir(parents=True)
    (tmp_path / "disk").chmod(0o755)
    private.prepare(tmp_path / "disk")
    assert mode(tmp_path / "disk") == 0o700


def test_a_file_in_place_of_the_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(DataDirUnusable):
        private.prepare(tmp_path / "data")
