"""The wheel, built from this tree, holds everything that is needed and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (built,) = folder.glob("gonogo-*.whl")
    return zipfile.ZipFile(built)


def in_tree(*patterns: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for pattern in patterns
        for path in ROOT.glob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_every_module_and_every_file_that_a_module_reads_is_in_it(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    wanted = in_tree(
        "web/**/*", "worker/**/*", "shared/**/*.py", "training/**/*.py", "shared/store/migrations/**/*"
    )
    wanted |= in_tree("shared/registry/published/**/*")
    assert wanted <= names, sorted(wanted - names)
    assert any(name.startswith("shared/store/migrations/versions/r") for name in names)
    assert any(name.startswith("web/pages/templates/") for name in names)
    assert any(name.startswith("web/pages/static/") for name in names)


def test_a_model_is_in_it(wheel: zipfile.ZipFile) -> None:
    assert [
        name
        for name in wheel.namelist()
        if name.startswith("shared/registry/published/") and name.endswith(".gonogo")
    ]


def test_nothing_else_is_in_it(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"web", "worker", "shared", "training"}
    assert not [name for name in wheel.namelist() if "test" in name.lower() or name.endswith((".pyc", ".db"))]


def test_it_cannot_be_published_by_mistake_and_serving_needs_no_torch(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = wheel.read(name).decode()
    assert "Classifier: Private :: Do Not Upload" in metadata
    needed = [
        line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line
    ]
    assert len(needed) > 5
    assert not [line for line in needed if "torch" in line or "safetensors" in line]


def test_the_command_is_installed(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "gonogo = shared.cli.main:main" in wheel.read(name).decode()
