"""Python, and the packages that gonogo requires."""

import sys
from collections.abc import Iterator
from importlib import metadata

from shared.cli.doctor.findings import Finding


def packages() -> Iterator[Finding]:
    """Compare the version of each required package with the range that the distribution accepts."""
    from packaging.requirements import InvalidRequirement, Requirement

    running = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("python", "ok", f"{running} at {sys.executable}")
    try:
        asked = metadata.requires("gonogo") or []
    except metadata.PackageNotFoundError:
        yield Finding("packages", "problem", "gonogo is not installed here", "pip install -e . in its folder")
        return
    wrong: list[str] = []
    right: list[str] = []
    for line in asked:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        fits = requirement.specifier.contains(version, prereleases=True)
        (right if fits else wrong).append(f"{requirement.name} {version}")
    if wrong:
        yield Finding("packages", "problem", ", ".join(wrong), "pip install -e . in gonogo's folder")
    else:
        yield Finding("packages", "ok", f"gonogo {metadata.version('gonogo')}, {', '.join(right)}")
