"""Tests use what a module offers: no private name of it, and no frozen settings that are changed in place."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.arch.prose import ROOT, tracked

# The named tuples' and rows' own interface, which has underscores so that no field can hide it.
OFFERED = {"_asdict", "_fields", "_make", "_mapping", "_replace"}
# Each file or folder, with the reason why it may reach inside.
MAY = {
    "tests/faults/mutants/": "breaks the product on purpose",
    "tests/unit/web/upload/test_multipart_differential.py": "reads the state of the library that ours is compared with",
}


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in OFFERED


def defined(tree: ast.AST) -> Iterator[str]:
    """Private names that a module defines: functions, classes, variables and attributes of `self`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def used(tree: ast.AST) -> Iterator[tuple[int, object]]:
    """(line, name) of each private name that a test takes from another object or module, or sets there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node.lineno, node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in (
            "setattr",
            "delattr",
            "__setattr__",
        ):
            yield from ((node.lineno, each.value) for each in node.args if isinstance(each, ast.Constant))


def python(*folders: str) -> Iterator[tuple[str, ast.AST]]:
    for name in tracked():
        if name.endswith(".py") and name.startswith(folders):
            yield name, ast.parse((ROOT / name).read_text(encoding="utf-8"))


def test_no_test_takes_a_private_name_of_the_product() -> None:
    names = {name for _, tree in python("shared/", "web/", "worker/", "training/") for name in defined(tree)}
    ours = {name for name in names if private(name)}
    assert len(ours) > 500
    assert [
        f"{path}:{line}: {name}"
        for path, tree in python("tests/", "bench/")
        for line, name in used(tree)
        if not path.startswith(tuple(MAY)) and isinstance(name, str) and name in ours
    ] == []


def test_no_test_changes_a_frozen_object_in_place() -> None:
    me = Path(__file__).relative_to(ROOT).as_posix()
    assert [
        name
        for name in tracked()
        if name.endswith(".py")
        and name != me
        and "object.__setattr__" in (ROOT / name).read_text(encoding="utf-8")
    ] == []


def test_each_way_to_take_a_private_name_is_found() -> None:
    source = "from a import _b\nmodule._c()\nmonkeypatch.setattr(module, '_d', 1)\nself._e\nrow._asdict()"
    assert [name for _, name in used(ast.parse(source)) if isinstance(name, str) and private(name)] == [
        "_b",
        "_d",
        "_c",
    ]
