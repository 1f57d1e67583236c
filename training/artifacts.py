"""The artifact that a person names: a .gonogo file, or the only one in a run folder."""

from pathlib import Path

from shared.errors import ArtifactError
from shared.registry.artifact import Artifact, read_artifact


def artifact_at(path: Path) -> Artifact:
    """The artifact. Raises ArtifactError, with the path, where it is not whole, or the folder holds several or none."""
    if path.is_dir():
        found = sorted(path.glob("*.gonogo"))
        if len(found) != 1:
            raise ArtifactError(f"{path} holds {len(found)} artifacts, not one")
        path = found[0]
    try:
        return read_artifact(path)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error.detail}") from error
