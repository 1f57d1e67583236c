"""The small files of a data directory after a power cut, which may leave zeros in them."""

import os
import stat
from pathlib import Path

import pytest

from shared.cli.embedded import data_dir as data_dirs

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
