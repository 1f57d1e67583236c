"""Each row of the table of faults has a test, and each test of a fault has a row."""

import ast
import re
from pathlib import Path

from tests.faults.mutants import MUTANTS
from tests.faults.table import ROWS

TESTS = Path(__file__).parents[1]
SOAK = 30  # it has a command of its own


def row_of(mark: ast.AST) -> int | None:
    """The number in `pytest.mark.row(number)`."""
    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.row":
        return int(ast.literal_eval(mark.args[0]))
    return None


def test_every_row_of_the_table_has_a_test_and_every_marked_row_is_in_the_table() -> None:
    marked = {
        number
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (number := row_of(node)) is not None
    }
    assert marked | {SOAK} == set(ROWS)


def test_every_test_of_a_fault_is_marked_with_its_row() -> None:
    for path in (TESTS / "faults").glob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert any(row_of(mark) for mark in node.decorator_list), node.name


def test_every_mutant_picks_tests_of_its_row() -> None:
    marked = {
        node.name: {row_of(mark) for mark in node.decorator_list}
        for path in TESTS.rglob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    for name, mutant in MUTANTS.items():
        for part in set(re.findall(r"\w+", mutant.tests)) - {"and", "or", "sqlite", "events", "no_walk"}:
            rows = set[int | None]().union(*(rows for test, rows in marked.items() if part in test))
            assert mutant.row in rows, f"{name}: {part}"


def test_every_row_of_what_surrounds_the_service_has_a_mutant() -> None:
    assert {mutant.row for mutant in MUTANTS.values()} >= set(range(35, 51))
