"""No module keeps state of its own: it would be shared by all applications of a process, and left over by tests."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Each with the reason why it may stay.
ALLOWED = {
    "shared/clock.py: rfc3339": "a pure function: an export spells a time of a chunk once, not once for each item",
    "shared/contract/rates.py: _quantile": "a pure function: most groups of a page are as on the page before",
    "shared/failpoints.py: _taken": "faults that a test injects, set by the environment of the process",
    "shared/vision/describe.py: _shares": "a pure function: a matrix for a size of image, made once a process",
    "shared/vision/survey.py: _tiles": "a pure function: a matrix for a size of image, made once a process",
    "web/http/validators.py: adapter": "a pure function of a type of the contract",
    "web/http/validators.py: properties": "a pure function of a type of the contract",
    "web/resources/parts.py: _statement": "a pure function: a statement for each set of filters, built once",
    "worker/app.py: _dispatcher": "as `_runtime`, in a process that delivers webhooks",
    "worker/app.py: _fetcher": "as `_runtime`, in a process that fetches images",
    "worker/app.py: _runtime": "Celery gives a child process no other place for it",
    "worker/fetching/objects.py: _store": "the connections to a bucket; the operator names few",
    "worker/process.py: place": "the host, boot and pid namespace of this process, which never change",
}
CACHES = {"cache", "lru_cache"}
CONTAINERS = {"dict", "list", "set", "defaultdict", "OrderedDict", "Counter", "deque", "WeakValueDictionary"}


def kept(tree: ast.Module) -> Iterator[str]:
    """Names of cached functions, of module variables that are filled later, and of rebound ones."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                if (
                    called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                ) in CACHES:
                    yield node.name
        elif isinstance(node, ast.Global):
            yield from node.names
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            value = node.value
            empty = (isinstance(value, ast.Dict) and not value.keys) or (
                isinstance(value, ast.List | ast.Set) and not value.elts
            )
            made = (
                isinstance(value, ast.Call) and getattr(value.func, "id", "") in CONTAINERS and not value.args
            )
            if empty or made:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_no_module_of_the_service_keeps_state() -> None:
    found = {
        f"{path.relative_to(ROOT).as_posix()}: {name}"
        for folder in ("shared", "web", "worker")
        for path in (ROOT / folder).rglob("*.py")
        for name in kept(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set(ALLOWED)


def test_each_kind_of_state_would_be_found() -> None:
    source = """
import functools
_known = {}
_seen: set[str] = set()
@functools.lru_cache(maxsize=4)
def look(): ...
@cache
def see(): ...
def change():
    global _now
"""
    assert sorted(kept(ast.parse(source))) == ["_known", "_now", "_seen", "look", "see"]
