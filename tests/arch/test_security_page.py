"""SECURITY.md names a test for each threat; each of them is there, and holds tests."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()


def test_every_row_of_the_table_names_tests_that_are_there() -> None:
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and "**" in line]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(tests/[\w/.]+)`", row[3])
        assert named, row[0]
        for path in named:
            assert "def test_" in (ROOT / path).read_text(), path


def test_every_kind_of_threat_has_a_row() -> None:
    letters = {letter for kinds in re.findall(r"\*\*([STRIDE ]+)\*\*", PAGE) for letter in kinds.split()}
    assert letters == set("STRIDE")
