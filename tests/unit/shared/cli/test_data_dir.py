"""The small files of a data directory after a power cut, which may leave zeros in them."""

import os
import stat
from pathlib import Path

import pytest

from shared.cli.embedded import data_dir as data_dirs
from shared.cli.embedded.stack import last_error
from shared.cli.service import Usage, Where, open_client

LEFT = [b"", bytes(80), b"\xff\xfe\x00", b"key\x00\x00"]


@pytest.mark.parametrize("left", LEFT)
def test_an_unreadable_admin_key_is_no_key_so_that_the_next_start_makes_one(
    tmp_path: Path, left: bytes
) -> None:
    (tmp_path / "admin-key").write_bytes(left)
    assert data_dirs.admin_key(tmp_path) is None
    data_dirs.keep_admin_key(tmp_path, "gng_key")
    assert data_dirs.admin_key(tmp_path) == "gng_key"
    assert stat.S_IMODE((tmp_path / "admin-key").stat().st_mode) == 0o600


@pytest.mark.parametrize("left", LEFT)
def test_unreadable_notes_of_what_ran_name_nothing(tmp_path: Path, left: bytes) -> None:
    for name in ("pids.json", "service-url", "lock"):
        (tmp_path / name).write_bytes(left)
    assert data_dirs.survivors(tmp_path) == {}
    held = data_dirs.lock(tmp_path)
    try:
        assert data_dirs.service_url(tmp_path) is None
    finally:
        os.close(held)


def test_a_key_goes_to_no_other_program_where_the_service_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dirs.keep_admin_key(tmp_path, "gng_key")
    (tmp_path / "service-url").write_text("http://127.0.0.1:1")
    monkeypatch.setenv("GONOGO_URL", "http://127.0.0.1:2")
    with pytest.raises(Usage, match="no service runs in"):
        open_client(Where(None, None, tmp_path))
    open_client(Where("http://127.0.0.1:3", None, tmp_path)).close()


def test_an_error_of_an_earlier_start_is_no_reason_for_this_one(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("2026-01-02T03:04:05.678Z ERROR web.app unexpected error\nTraceback\n")
    assert last_error(log, "2026-01-02T03:04:05") == "unexpected error"
    assert last_error(log, "2026-01-02T03:04:06") is None
