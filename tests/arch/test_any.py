"""Rows and the documents in their columns have named types: `Any` is for the edge of a library."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
STORE = ROOT / "shared" / "store"
OF_ROWS = [*STORE.glob("*records.py"), *STORE.glob("*tables.py"), STORE / "documents.py"]
MOST = 250  # lines of the programs that name Any


def lines_with_any(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [line for line in text.splitlines() if re.search(r"\bAny\b(?! [a-z])", line)]


def test_no_row_and_no_column_is_any() -> None:
    assert len(OF_ROWS) > 8
    assert {path.name: found for path in OF_ROWS if (found := lines_with_any(path))} == {}


def test_few_lines_of_the_programs_name_any() -> None:
    paths = [path for part in ("shared", "web", "worker", "training") for path in (ROOT / part).rglob("*.py")]
    assert sum(len(lines_with_any(path)) for path in paths) <= MOST
