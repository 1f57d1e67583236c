"""Small files of a data dir after a power cut or a repair of the disk: whatever they have become, the start goes on."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.cli.embedded import data_dir as data_dirs
from shared.cli.embedded import disposable, queue_log, stack
from shared.cli.embedded.processes import boot_id
from shared.settings import Settings


def folder_with_a_file(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("kept")


WHOLE = '{"boot_id": "b", "processes": {"web": {"pid": 1, "session": 1, "born": 1}}}'
NAMES = ("lock", "pids.json", "pids.new", "service-url", "admin-key.new", "valkey", "valkey/valkey.sock")
DAMAGES: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(200)),
    "cut": lambda path: path.write_text(WHOLE[:40]),
    "of another kind": lambda path: path.write_text(WHOLE.replace('{"web"', '["web"').replace("}}}", "]}")),
    "list": lambda path: path.write_text('{"boot_id": "BOOT", "processes": [1, 2]}'),
    "deep": lambda path: path.write_text("[" * 100_000),
    "folder": folder_with_a_file,
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
}


def spoil(path: Path, damage: str) -> None:
    """Leave this damage in the place of a file or folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    DAMAGES[damage](path)
    if damage == "list":
        path.write_text(path.read_text().replace("BOOT", boot_id()))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_start_goes_on(name: str, damage: str, tmp_path: Path) -> None:
    spoil(tmp_path / name, damage)
    settings = Settings(data_dir=tmp_path)
    held = data_dirs.lock(tmp_path)
    try:
        disposable.discard(tmp_path / "service-url")
        assert data_dirs.end_survivors(tmp_path) == []
        assert data_dirs.service_url(tmp_path) is None
        data_dirs.record(tmp_path, {})
        assert data_dirs.survivors(tmp_path) == {}
        data_dirs.keep_admin_key(tmp_path, "gng_key")
        assert data_dirs.admin_key(tmp_path) == "gng_key"
        _, socket = data_dirs.with_broker(settings)
        assert socket is not None
        stack.valkey(settings, socket)
        assert (tmp_path / "valkey").is_dir() and not socket.is_dir()
    finally:
        os.close(held)
    if damage == "folder" and name != "valkey":
        (aside,) = (tmp_path / name).parent.glob("*-unreadable-*")
        assert (aside / "inside").read_text() == "kept", "a folder is renamed, and nothing in it is lost"


@pytest.mark.parametrize("length", [1, 4, 10, 17, 40, 81])
def test_a_key_that_was_cut_off_is_no_key(length: int, tmp_path: Path) -> None:
    key = f"gng_{'0123456789ab'}_{'c' * 64}"
    (tmp_path / "admin-key").write_text(key[:length])
    kept = data_dirs.admin_key(tmp_path)
    assert kept == (key if length == len(key) else None)


@pytest.mark.parametrize("status", [1, 2, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT])
def test_a_server_that_ends_by_itself_finds_an_empty_folder_the_next_time(
    status: int, tmp_path: Path
) -> None:
    (tmp_path / "valkey").mkdir()
    (tmp_path / "valkey" / "log").write_text("unreadable")
    said: list[str] = []
    guard = queue_log.Guard(Settings(data_dir=tmp_path), said.append)
    for _ in range(3):
        guard.heal(status)
    assert list((tmp_path / "valkey").iterdir()) == []
    (aside,) = tmp_path.glob("valkey-unreadable-*")
    assert (aside / "log").exists()
    assert len(said) == 1, "once: a fault that lies elsewhere must not fill the disk"


@pytest.mark.parametrize("status", [0, -signal.SIGKILL, -signal.SIGTERM])
def test_a_server_that_was_ended_keeps_its_folder(status: int, tmp_path: Path) -> None:
    (tmp_path / "valkey").mkdir()
    queue_log.Guard(Settings(data_dir=tmp_path), print).heal(status)
    assert list(tmp_path.iterdir()) == [tmp_path / "valkey"]


def test_a_folder_that_cannot_be_renamed_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    shutil.rmtree(tmp_path)
    queue_log.Guard(Settings(data_dir=tmp_path), said.append).heal(1)
    assert "nor set aside" in said[0]
