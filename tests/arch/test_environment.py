"""The environment has few readers, so that a setting means the same in every process."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Each with the reason why it is not a field of Settings.
READERS = {
    "shared/settings.py": "the settings",
    "shared/failpoints.py": "faults that a test injects",
    "shared/cli/service.py": "GONOGO_URL and GONOGO_API_KEY: the command line's own",
    "shared/cli/commands/keys.py": "handed on to a child",
    "shared/cli/embedded/stack.py": "handed on to the stack's processes",
    "shared/registry/trial.py": "handed on to the trial's process",
    "shared/vision/graph.py": "sets a variable that the library reads",
    "worker/program.py": "sets the lanes of the role for its children",
}


def uses_environment(tree: ast.AST) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in {"environ", "getenv", "putenv", "environb"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        for node in ast.walk(tree)
    ) or any(
        isinstance(node, ast.ImportFrom)
        and node.module == "os"
        and {"environ", "getenv"} & {a.name for a in node.names}
        for node in ast.walk(tree)
    )


def test_the_environment_is_read_where_it_is_said_to_be_and_nowhere_else() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("shared", "web", "worker", "training")
        for path in (ROOT / folder).rglob("*.py")
        if uses_environment(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set(READERS)


def test_a_reader_would_be_found() -> None:
    for source in ("import os; os.environ['A']", "import os; os.getenv('A')", "from os import environ"):
        assert uses_environment(ast.parse(source)), source
