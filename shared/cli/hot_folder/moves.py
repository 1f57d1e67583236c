"""Judged files leave the folder: to `done/` or `failed/`, with their result next to them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.cli.hot_folder.journal import KnownFile

DONE, FAILED, CHANGED = "done", "failed", "changed"


def move(folder: Path, file: KnownFile, item: Mapping[str, Any] | None, *, as_json: bool) -> str:
    """Move a judged file and return its place; CHANGED, and it stays, where it was written again since it was read.

    `item` is its row of the results; None where the service never accepted it. A file that is gone was moved before
    the watcher died, or a person took it.
    """
    source = folder / file.name
    place = DONE if item is not None and item.get("status") == "succeeded" else FAILED
    try:
        found = source.stat()
    except FileNotFoundError:
        return place
    if (found.st_size, found.st_mtime_ns) != (file.size, file.mtime_ns):
        return CHANGED
    target = _free(folder / place / file.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    # The result is there before the file: a program that sees the file can read its verdict.
    if as_json and item is not None:
        _write(target.with_name(f"{target.name}.json"), json.dumps(item, ensure_ascii=False, indent=1))
    if place == FAILED:
        _write(target.with_name(f"{target.name}.reason.txt"), reason(item))
    source.rename(target)
    return place


def reason(item: Mapping[str, Any] | None) -> str:
    """Why a file has no verdict, in one line."""
    error = (item or {}).get("error") or {}
    if error:
        return f"{error.get('code')}: {error.get('detail')}\n"
    return f"{(item or {}).get('status') or 'refused'}\n"


def _free(target: Path) -> Path:
    """The path, or one with a number where a file of that name was moved there before.

    A camera that gives each image the same name fills the numbers: they are looked for in growing steps and then by
    halves, since a look at each of them would cost more with every image.
    """

    def numbered(number: int) -> Path:
        return target.with_name(f"{target.stem}~{number}{target.suffix}")

    if not target.exists():
        return target
    taken, free = 1, 2
    while numbered(free).exists():
        taken, free = free, 2 * free
    while free - taken > 1:
        middle = (taken + free) // 2
        taken, free = (middle, free) if numbered(middle).exists() else (taken, middle)
    return numbered(free)


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8", errors="backslashreplace")
    os.replace(part, path)  # noqa: PTH105
