"""The data dir is its user's alone: it holds the first key, and the database with the secrets of webhooks.

Keys and sessions are kept there as hashes, from which no key can be made again.
"""

import os
import stat
from pathlib import Path

from shared.cli.embedded.data_dir import DataDirUnusable
from shared.private_files import refuse_others

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def prepare(data_dir: Path) -> list[str]:
    """Make the data dir, or take from others what they may do there; returns a line for each change.

    Files that this process and its children make from now on are private too. Raises DataDirUnusable where the folder
    belongs to another user, or where anyone could put another folder in its place; SettingsError for a
    folder of others.
    """
    os.umask(_OTHERS)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_owner(data_dir)
        _check_parents(data_dir)
        return _tighten(data_dir)
    except OSError as error:
        raise DataDirUnusable(f"{error.filename}: {error.strerror}") from error


def _check_owner(data_dir: Path) -> None:
    owner = data_dir.stat().st_uid
    if owner != os.geteuid():
        raise DataDirUnusable(
            f"{data_dir} belongs to user {owner}, who can read it: chown it to user {os.geteuid()}, or run as its owner"
        )


def _check_parents(data_dir: Path) -> None:
    for folder in data_dir.resolve().parents:
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise DataDirUnusable(
                f"anyone may replace {data_dir}, since {folder} may be written by all: chmod o-w {folder}"
            )


def _tighten(data_dir: Path) -> list[str]:
    lines = []
    if data_dir.stat().st_mode & _OTHERS:
        refuse_others(data_dir)
    if _close(data_dir):
        lines.append(f"others could read {data_dir}: it is closed to them now")
        if (data_dir / "admin-key").exists():
            lines.append(
                "they may have read the admin key: gonogo keys list, then gonogo keys rotate --at-once KEY"
            )
    for entry in sorted(data_dir.iterdir()):
        if not entry.is_symlink() and _close(entry):
            lines.append(f"others could read {entry}: it is closed to them now")
    return lines


def _close(path: Path) -> bool:
    """Take the rights of group and others from a file; whether there were any."""
    mode = stat.S_IMODE(path.lstat().st_mode)
    if not mode & _OTHERS:
        return False
    path.chmod(mode & ~_OTHERS)
    return True
