"""Edges are thin: the request stays in the views, and named commands alone reach an installation itself."""

import ast
from collections.abc import Iterator
from pathlib import PurePath

from tests.arch.prose import ROOT, tracked

# The request, the session and the context of a request: what only a view, or a check before it, may read.
OF_A_REQUEST = {"request", "g", "session"}
VIEWS = ("web/openapi/document.py", "web/api/", "web/http/", "web/pages/", "web/app.py")
ON_THE_INSTALLATION = ("shared.store", "shared.blobs", "shared.cli.embedded", "shared.cli.doctor")
COMMANDS = "shared/cli/commands/"
PROGRAMS = ("shared", "web", "worker", "training")


def imported(name: str) -> Iterator[tuple[str, str]]:
    """(module, name) of each import of a file; the name is empty for a module as a whole."""
    for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def python(folder: str) -> list[str]:
    return [name for name in tracked() if name.startswith(folder) and name.endswith(".py")]


def test_nothing_below_a_view_reads_the_request() -> None:
    below = [name for name in python("web/") if not name.startswith(VIEWS)]
    assert {"web/upload/intake.py", "web/resources/batches.py"} <= set(below)
    readers = {
        name
        for name in below
        for module, what in imported(name)
        if (module.partition(".")[0] == "flask" and what in OF_A_REQUEST) or (module, what) == ("flask", "")
    }
    assert readers == set()


def test_the_architecture_names_the_commands_that_work_on_the_installation_itself() -> None:
    text = " ".join((ROOT / "docs/architecture.md").read_text(encoding="utf-8").split())
    sentence = text.rpartition("work on the installation itself")[0].rpartition(". ")[2]
    named = {part.split()[0] for part in sentence.split("`")[1::2]}
    found = {
        PurePath(name).stem
        for name in python(COMMANDS)
        for module, what in imported(name)
        if f"{module}.{what}".startswith(ON_THE_INSTALLATION)
    }
    assert found == named


def test_the_architecture_has_a_sentence_for_every_folder() -> None:
    rows = [
        line.split("|")[1]
        for line in (ROOT / "docs/architecture.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    told = {name for row in rows for name in row.replace("`", " ").split()}
    packages = {PurePath(name).parent for name in tracked() if name.endswith("/__init__.py")}
    folders = {path.as_posix() for path in packages if path.parts[0] in PROGRAMS and len(path.parts) == 2}
    assert len(folders) > 25
    missing = {path for path in folders if not {f"{path}/", f"{PurePath(path).name}/"} & told}
    assert missing == set()
