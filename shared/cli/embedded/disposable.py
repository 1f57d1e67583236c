"""Files of a data dir that can be made again: whatever a power cut made of them, a start goes on."""

import time
from pathlib import Path


def discard(path: Path) -> None:
    """Remove a file; a folder in its place is set aside."""
    clear(path)
    path.unlink(missing_ok=True)


def clear(path: Path) -> Path | None:
    """Set a folder that is in the place of a file aside; returns its new path, or None if there was none."""
    return set_aside(path) if path.is_dir() and not path.is_symlink() else None


def make_folder(folder: Path) -> None:
    """Make a folder that its user alone may enter; anything else in its place is set aside."""
    if folder.exists() and not folder.is_dir():
        set_aside(folder)
    folder.mkdir(mode=0o700, exist_ok=True)


def set_aside(path: Path) -> Path:
    """Rename a file or folder, so that nothing is lost; returns its new path."""
    name = f"{path.name}-unreadable-{time.strftime('%Y%m%d-%H%M%S')}"
    aside, number = path.with_name(name), 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{name}-{number}")
    path.rename(aside)
    return aside
