"""A module is named after the one thing that it holds."""

import re
import tomllib
from pathlib import PurePath

from tests.arch.prose import ROOT, tracked

PROGRAMS = ("web", "worker", "shared", "training")
VAGUE = re.compile(r"^(utils?|helpers?|common|misc|models|\w*managers?)$")
# A command's module has the name that people type.
COMMANDS = "shared/cli/commands"


def modules() -> list[PurePath]:
    """Every module and package of the four programs."""
    files = [PurePath(name) for name in tracked() if name.endswith(".py")]
    return [path for path in files if path.parts[0] in PROGRAMS and path.parent.as_posix() != COMMANDS]


def test_no_module_or_folder_has_a_vague_name() -> None:
    found = modules()
    assert len(found) > 100
    assert [
        str(path) for path in found if any(VAGUE.match(part) for part in (*path.parts[:-1], path.stem))
    ] == []


def test_no_module_is_named_after_a_library_that_it_could_hide() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    libraries = {re.split(r"[\[<>=~ ]", each)[0].replace("-", "_") for each in project["dependencies"]}
    assert "celery" in libraries
    assert [str(path) for path in modules() if path.stem in libraries] == []


def test_no_class_is_called_a_manager() -> None:
    named = [
        f"{path}: {found}"
        for path in modules()
        for found in re.findall(r"^class (\w*Manager)\b", (ROOT / path).read_text(encoding="utf-8"), re.M)
    ]
    assert named == []
