"""The blob store: where the bytes of batches, model artifacts and spooled uploads are, and how to read them.

Many processes may use one store: a pack has one writer and does not change once it has its final name.
"""

import filecmp
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from shared.blobs import disk, files
from shared.blobs.packs import PackWriter

Drawing = Literal["thumbnail", "image", "heatmap"]


class BlobStore:
    """Stored bytes below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def batch_folder(self, batch_id: str) -> Path:
        # A UUIDv7 begins with the time, so two characters of its random end spread the folders evenly.
        return self.root / "batches" / batch_id[-2:] / batch_id

    def pack_path(self, batch_id: str, pack: int) -> Path:
        return self.batch_folder(batch_id) / f"{pack:06d}.pack"

    def drawing_path(self, kind: Drawing, batch_id: str, seq: int) -> Path:
        suffix = "png" if kind == "heatmap" else "jpg"
        return self.batch_folder(batch_id) / f"{kind}s" / f"{seq:06d}.{suffix}"

    def artifact_path(self, sha256: str) -> Path:
        return self.root / "models" / f"{sha256}.gonogo"

    def write_pack(self, batch_id: str, pack: int) -> PackWriter:
        """A new pack for writing."""
        return PackWriter(self.pack_path(batch_id, pack))

    def open_pack(self, batch_id: str, pack: int) -> BinaryIO:
        """A pack for reading; raises FileNotFoundError if the batch has been purged."""
        return self.pack_path(batch_id, pack).open("rb", buffering=0)

    def read(self, batch_id: str, pack: int, offset: int, length: int) -> bytes:
        """The bytes of one item."""
        with self.open_pack(batch_id, pack) as file:
            return os.pread(file.fileno(), length, offset)

    def put(self, path: Path, data: bytes) -> None:
        """Keep one whole file durably under its final name."""
        files.put(path, data)

    def put_file(self, source: Path, path: Path) -> None:
        """Keep a copy of a file durably under its final name."""
        files.put(path, source.read_bytes())

    def holds(self, path: Path, source: Path) -> bool:
        """Whether the file at `path` has the bytes of `source`: a spoiled disk may have left others."""
        return path.is_file() and filecmp.cmp(path, source, shallow=False)

    def spool_folder(self) -> Path:
        """Where uploads that must be read twice wait: on the store's own disk, so that /tmp cannot fill."""
        folder = self.root / "spool"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def delete_batch(self, batch_id: str) -> None:
        """Remove every byte of a batch. A batch without bytes is no error."""
        shutil.rmtree(self.batch_folder(batch_id), ignore_errors=True)

    def delete_other_packs(self, batch_id: str, kept: Collection[int], below: int) -> None:
        """Remove the packs of a batch with a number below `below`, but for the kept ones."""
        for path in self.batch_folder(batch_id).glob("*.pack"):
            if int(path.stem) < below and int(path.stem) not in kept:
                path.unlink(missing_ok=True)

    def link_packs(self, source: str, batch_id: str) -> None:
        """Give a batch the packs of another one, without copying bytes; each goes with its last name.

        A file system that cannot link gets copies. Raises FileNotFoundError where the source has been purged.
        """
        folder = self.batch_folder(batch_id)
        with disk.errors():
            folder.mkdir(parents=True, exist_ok=True)
            # The packs keep their old times: by this file the sweep sees that somebody is at work here.
            (folder / "linked").touch()
            for path in sorted(self.batch_folder(source).glob("*.pack")):
                try:
                    os.link(path, folder / path.name)
                except FileNotFoundError:
                    raise
                except OSError:
                    files.put(folder / path.name, path.read_bytes())
        files.sync_folder(folder)

    def batch_ids(self) -> Iterator[str]:
        """Every batch that has a folder here."""
        folder = self.root / "batches"
        if folder.is_dir():
            for spread in filter(Path.is_dir, folder.iterdir()):
                yield from (entry.name for entry in spread.iterdir() if entry.is_dir())

    def belongs_to(self, installation: str) -> bool:
        """Whether this store is that installation's. A store without a name, or with a spoiled one, gets it."""
        file = self.root / "installation"
        try:
            kept = file.read_text().strip()
        except (FileNotFoundError, UnicodeDecodeError):
            kept = ""
        if not kept or not kept.isprintable():
            files.put(file, f"{installation}\n".encode())
            return True
        return kept == installation

    def is_there(self) -> bool:
        """Whether the store's folder exists. While its disk is not mounted, no blob is lost: the disk has to return."""
        return (self.root / "batches").is_dir()

    def free_bytes(self) -> int:
        """Free room on the store's disk."""
        return disk.free_bytes(self.root)
