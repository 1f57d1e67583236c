"""docs/contract.md names every operation and event, and tests that exist."""

import ast
import re
from pathlib import Path

import pytest

from shared.contract.events import ENDPOINT_EVENTS, TEST_PING
from tests.harness.site import Site

ROOT = Path(__file__).parents[4]
TABLES = dict(
    zip(
        ("operations", "events", "rules"),
        (ROOT / "docs" / "contract.md").read_text(encoding="utf-8").split("\n## ")[1:],
        strict=True,
    )
)


def cells(name: str, column: int) -> list[str]:
    """The words in backticks of a column of a table."""
    rows = [line.split(" | ") for line in TABLES[name].splitlines() if line.startswith("| ")][1:]
    assert all(len(row) == 2 for row in rows)
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row[column])]


def test_every_operation_is_in_one_row(site: Site) -> None:
    paths = site.client.get("/openapi.json").get_json()["paths"]
    operations = [each["operationId"] for methods in paths.values() for each in methods.values()]
    assert sorted(cells("operations", 0)) == sorted(operations)


def test_every_event_is_in_one_row() -> None:
    assert sorted(cells("events", 0)) == sorted([*ENDPOINT_EVENTS, TEST_PING])


@pytest.mark.parametrize("table", TABLES)
def test_each_named_test_exists(table: str) -> None:
    named = cells(table, 1)
    assert len(named) >= len(TABLES[table].splitlines()) - 4, "each row names a test"
    for place in named:
        file, _, name = place.partition("::")
        tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
        tests = {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        }
        assert name in tests if name else tests, place
