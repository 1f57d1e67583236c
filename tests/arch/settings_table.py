"""The table of docs/settings.md, made from the fields of Settings: `python -m tests.arch.settings_table` writes it."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from shared.environment import PREFIX
from shared.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
BEGIN, END = "<!-- settings -->\n", "<!-- /settings -->"
_UNITS = ((2**30, "GiB"), (2**20, "MiB"))


def _shown(name: str, value: Any) -> str:
    if value == "":
        return ""
    if name.endswith("_bytes"):
        unit, word = next((unit, word) for unit, word in _UNITS if value % unit == 0)
        return f"`{value}` ({value // unit} {word})"
    return f"`{value:g}`" if isinstance(value, float) and value < 1e5 else f"`{value}`"


def table() -> str:
    """The Markdown table: a row for each setting, in their order."""
    rows = ["| variable | default | what it is |", "|---|---|---|"]
    for entry in fields(Settings):
        about = entry.metadata["about"].replace("|", "\\|")
        rows.append(f"| `{PREFIX}{entry.name.upper()}` | {_shown(entry.name, entry.default)} | {about} |")
    return "\n".join(rows) + "\n"


def documented() -> str:
    """The text between the two marks of the page."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def _write() -> None:
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    PAGE.write_text(before + begin + table() + end + after, encoding="utf-8")


if __name__ == "__main__":
    _write()
