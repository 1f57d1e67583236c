"""Every import is a declared dependency, and no module imports itself by way of others."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from functools import cache

import pytest

from tests.arch.prose import ROOT, tracked

PROGRAMS = ("web", "worker", "shared", "training")
# Modules that may import an optional package: the extra that brings it, by the prefix of their path.
EXTRAS = {
    "training/proof/mapie.py": "quality",
    "training/": "training",
    "shared/vision/net.py": "gpu",
    "shared/vision/lite0.py": "gpu",
    "shared/vision/patches.py": "gpu",
    "worker/fetching/objects.py": "s3",
    "worker/inference/engines/gpu.py": "gpu",
    "web/resources/parquet.py": "parquet",
}


def imported(text: str) -> dict[str, int]:
    """Top-level packages that a module imports, wherever in the module, and the line of one such import."""
    found = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found.update({alias.name.partition(".")[0]: node.lineno for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found[str(node.module).partition(".")[0]] = node.lineno
    return found


def plain(requirement: str) -> str:
    """The normal name of a distribution, without extras and versions."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement)[0]).lower()


@cache
def declared() -> dict[str, set[str]]:
    """Distributions that pyproject.toml asks for: under "" those of every installation, then those of each extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {
        name: {plain(each) for each in wanted} for name, wanted in project["optional-dependencies"].items()
    }
    return {"": {plain(each) for each in project["dependencies"]}, **extras}


@cache
def providers() -> dict[str, set[str]]:
    found = importlib.metadata.packages_distributions()
    return {package: {plain(name) for name in names} for package, names in found.items()}


def undeclared(name: str, text: str) -> list[str]:
    extra = next((extra for prefix, extra in EXTRAS.items() if name.startswith(prefix)), "")
    allowed = declared()[""] | declared().get(extra, set())
    return [
        f"{name}:{line} imports {package}"
        for package, line in imported(text).items()
        if package not in sys.stdlib_module_names
        and package not in PROGRAMS
        and not providers().get(package, {package}) & allowed
    ]


def test_every_import_of_the_programs_is_a_declared_dependency() -> None:
    files = [name for name in tracked() if name.endswith(".py") and name.split("/")[0] in PROGRAMS]
    assert len(files) > 100
    assert [fault for name in files for fault in undeclared(name, (ROOT / name).read_text())] == []


def test_a_package_that_another_one_happens_to_bring_is_found() -> None:
    text = "import os\nimport flask\nimport yaml\nimport torch\n"
    assert undeclared("web/app.py", text) == ["web/app.py:3 imports yaml", "web/app.py:4 imports torch"]
    assert undeclared("training/fit/train.py", text) == ["training/fit/train.py:3 imports yaml"]


def module_of(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def cycles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for following in arrows[node]:
            if following not in index:
                visit(following)
                low[node] = min(low[node], low[following])
            elif following in stack:
                low[node] = min(low[node], index[following])
        if low[node] == index[node]:
            place = stack.index(node)
            group = stack[place:]
            del stack[place:]
            if len(group) > 1:
                found.append(sorted(group))

    for node in arrows:
        if node not in index:
            visit(node)
    return found


def import_arrows() -> dict[str, set[str]]:
    """Module to modules of this repository that it imports when it is loaded; imports inside functions come later."""
    files = [name for name in tracked() if name.endswith(".py") and not name.endswith("/conftest.py")]
    modules = {module_of(name): name for name in files}
    arrows: dict[str, set[str]] = {}
    for module, name in modules.items():
        arrows[module] = set()
        for node in ast.parse((ROOT / name).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                wanted = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                wanted = [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
            else:
                continue
            arrows[module] |= {each for each in wanted if each in modules and each != module}
    return arrows


def test_there_is_no_import_cycle() -> None:
    assert cycles(import_arrows()) == []


def test_a_cycle_would_be_found() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_tests_do_not_import_bench() -> None:
    arrows = import_arrows()
    users = {module for module in arrows if module.startswith("tests.")}
    assert {module for module in users for to in arrows[module] if to.startswith("bench.")} == set()


@pytest.mark.parametrize(
    "requirement", ["Flask>=3.1,<4", "flask[async]", "flask ; python_version > '3'", "FLASK"]
)
def test_requirements_are_compared_by_their_normal_name(requirement: str) -> None:
    assert plain(requirement) == "flask"
