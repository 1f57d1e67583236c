"""The images and the model that the bench measures with."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from shared.registry.artifact import Artifact, read_artifact
from training.synthetic.render import render

ROOT = Path(__file__).parent.parent
DISTINCT = 1000
_SEED = 4711
_COMMENT = b"\xff\xfe\x00\x12"  # a COM segment of 16 bytes
_SOLAR = "infrared_solar_modules"


def rendered(data: Path, size: int) -> list[Path]:
    """`DISTINCT` rendered parts of size x size, made once and kept below `data`."""
    folder = data / f"parts-{size}-{DISTINCT}"
    if not (folder / "images.csv").exists():
        render(folder, count=DISTINCT, seed=_SEED, size=size)
    return sorted(folder.rglob("*.jpg"))


def solar(data: Path) -> list[Path] | None:
    """The infrared solar modules, unpacked below `data`; None if the archive is not next to the checkout."""
    archive = ROOT.parent / "shared" / "data" / f"{_SOLAR}.tar"
    folder = data / _SOLAR
    if not folder.is_dir():
        if not archive.is_file():
            return None
        import tarfile

        with tarfile.open(archive) as packed:
            packed.extractall(data, filter="data")
    return sorted(folder.rglob("*.jpg"))


def folder_of(images: list[Path], count: int, folder: Path) -> Path:
    """A folder with `count` names for these images, as hard links, so that repeated images cost no disk."""
    folder.mkdir(parents=True)
    for number, image in zip(range(count), _endless(images), strict=False):
        os.link(image, folder / f"part-{number:06d}{image.suffix}")
    return folder


def distinct(folder: Path) -> None:
    """Give each JPEG of a folder bytes that no service has seen: 16 random ones in a comment. The image stays."""
    for path in folder.iterdir():
        jpeg = path.read_bytes()
        rest = jpeg[2:] if jpeg[2:6] != _COMMENT else jpeg[22:]
        path.unlink()  # it may be a hard link
        path.write_bytes(jpeg[:2] + _COMMENT + secrets.token_bytes(16) + rest)


def _endless(images: list[Path]) -> Iterator[Path]:
    while True:
        yield from images


def artifact(data: Path, *, published: str = "rendered-parts", size: int = 128) -> Artifact:
    """The published model of this set; where none is shipped yet, an untrained one at size x size."""
    shipped = sorted((ROOT / "shared" / "registry" / "published" / published).glob("*.gonogo"))
    if shipped and published:
        return read_artifact(shipped[0])
    path = data / f"untrained-{size}.gonogo"
    if not path.exists():
        from tests.harness.artifacts import write_untrained

        data.mkdir(parents=True, exist_ok=True)
        write_untrained(path, size=size)
    return read_artifact(path)
