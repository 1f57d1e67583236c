"""An artifact is all of its file."""

from pathlib import Path

import pytest

from shared.errors import ArtifactError
from shared.registry.artifact import read_artifact
from tests.harness.artifacts import write_untrained


@pytest.mark.parametrize(("before", "behind"), [(b"", b"\0"), (b"", b"more bytes" * 9), (b"#!", b"")])
def test_bytes_around_the_zip_file_are_refused(tmp_path: Path, before: bytes, behind: bytes) -> None:
    data = write_untrained(tmp_path / "a.gonogo").read_bytes()
    (tmp_path / "b.gonogo").write_bytes(before + data + behind)
    with pytest.raises(ArtifactError, match="bytes before or behind"):
        read_artifact(tmp_path / "b.gonogo")
