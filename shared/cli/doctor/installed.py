"""How much disk an installation of gonogo takes: its own packages and all that they require, and no more."""

import importlib.util
from importlib import metadata
from pathlib import Path

_PACKAGES = ("web", "worker", "shared", "training")


def base_size() -> int | None:
    """Bytes on disk of gonogo without extras, whatever else shares the environment; None if not installed."""
    try:
        metadata.distribution("gonogo")
    except metadata.PackageNotFoundError:
        return None
    return sum(distribution_size(name) for name in required("gonogo")) + sum(map(_package_size, _PACKAGES))


def required(root: str) -> set[str]:
    """The names of every distribution that `root` needs, found by walking the requirements."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: set[tuple[str, str]] = set()
    pending = [(root, "")]
    while pending:
        name, extra = pending.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for requirement in map(Requirement, lines):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                needed = canonicalize_name(requirement.name)
                pending += [(needed, ""), *((needed, wanted) for wanted in requirement.extras)]
    return {name for name, _ in found} - {root}


def distribution_size(name: str) -> int:
    try:
        files = metadata.distribution(name).files or []
    except metadata.PackageNotFoundError:
        return 0
    paths = [Path(str(file.locate())) for file in files]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _package_size(name: str) -> int:
    spec = importlib.util.find_spec(name)
    folders = list(spec.submodule_search_locations or []) if spec else []
    return sum(
        path.stat().st_size for folder in folders for path in Path(folder).rglob("*") if path.is_file()
    )
