"""The lock files pin, with hashes, everything that pyproject.toml asks for."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.arch.prose import ROOT

LOCKS = {
    "serve": ["postgres", "parquet", "s3"],
    "gpu": ["postgres", "parquet", "s3", "gpu"],
    "dev": ["dev"],
}


def wanted(extras: list[str]) -> list[Requirement]:
    """The requirements of an installation with these extras; an extra may name others of this project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found, open_ = [Requirement(each) for each in project["dependencies"]], list(extras)
    while open_:
        for requirement in map(Requirement, project["optional-dependencies"][open_.pop()]):
            if requirement.name == "gonogo":
                open_ += sorted(requirement.extras)
            else:
                found.append(requirement)
    return found


def pins(name: str) -> dict[str, tuple[str, int]]:
    """Version and number of hashes by the normal name of the distribution."""
    text = (ROOT / ".ci" / "lock" / f"{name}.txt").read_text().replace("\\\n", " ")
    return {
        canonicalize_name(found["name"]): (found["version"], found["rest"].count("--hash=sha256:"))
        for found in re.finditer(r"^(?P<name>[\w.-]+)==(?P<version>\S+)(?P<rest>.*)$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_every_requirement_within_its_range(name: str) -> None:
    locked = pins(name)
    for requirement in wanted(LOCKS[name]):
        told = f"{requirement} is not in .ci/lock/{name}.txt: run .ci/lock/update"
        assert canonicalize_name(requirement.name) in locked, told
        assert locked[canonicalize_name(requirement.name)][0] in requirement.specifier, told


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_a_hash_and_no_pin_names_a_local_file(name: str) -> None:
    assert all(hashes for _, hashes in pins(name).values())
    assert "file://" not in (ROOT / ".ci" / "lock" / f"{name}.txt").read_text()


def test_torch_is_the_version_that_the_measurements_were_made_with() -> None:
    constraints = re.findall(r"^(torch\w*)==(\S+)$", (ROOT / ".ci/constraints.txt").read_text(), re.MULTILINE)
    for name in ("gpu", "dev"):
        assert {package: pins(name)[package][0] for package, _ in constraints} == dict(constraints)
