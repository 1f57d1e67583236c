"""The sentences about a batch that a person must see: why it is blocked, its warnings, and its skipped files.

The CLI and the pages show the same sentences.
"""

from collections.abc import Mapping
from typing import Any

SKIPPED = "file_skipped"
_NAMED = 3  # skipped files named in the sentence


def notices(batch: Mapping[str, Any]) -> list[str]:
    """A sentence for each notice, the most urgent first; `batch` is a batch as the API shows it."""
    found = []
    if blocked := batch.get("blocked"):
        found.append(f"Blocked: {blocked['detail']} ({blocked['code']}, since {blocked['since']}).")
    warnings = batch.get("warnings") or []
    for warning in warnings:
        if warning["code"] != SKIPPED:
            name = f"{warning['filename']}: " if warning.get("filename") else ""
            found.append(f"{name}{warning['detail']}")
    if skipped := batch.get("skipped"):
        named = [warning for warning in warnings if warning["code"] == SKIPPED][:_NAMED]
        names = ", ".join(f"{warning['filename']} ({warning['detail']})" for warning in named)
        end = ", …" if skipped > len(named) else "."
        what = "1 file was skipped" if skipped == 1 else f"{skipped} files were skipped"
        found.append(f"{what}: {names}{end}" if named else f"{what}.")
    return found
