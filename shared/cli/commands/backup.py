"""`gonogo backup`: a copy of an embedded stack's data dir that `gonogo up` can start, made while it runs.

The database is copied first, by SQLite's online backup, and then the bytes that its rows name. A pack does not
change once it has a row, so a pack that is copied later still holds the bytes that the row means. A whole copy is
renamed into place.
"""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import click

from shared.blobs.store import BlobStore
from shared.cli import service
from shared.cli.output import megabytes, print_json
from shared.cli.service import Usage
from shared.errors import GonogoError
from shared.settings import Settings

_DATABASE = "gonogo.db"


class BackupFailed(GonogoError):
    """The copy is not whole, and was removed."""

    code = "backup_failed"


@click.command(
    short_help="copy a data dir while its service runs",
    epilog="Exit status: 0 the copy is whole; 1 it is not, and was removed; 2 usage.",
)
@click.argument("target", type=click.Path(path_type=Path))
@service.data_dir_option("The data dir to copy (GONOGO_DATA_DIR, gonogo-data).")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def backup(target: Path, data_dir: Path | None, as_json: bool) -> None:
    """Copy database, images, models and the admin key of a data dir into TARGET, a folder that does not exist yet.

    To restore, copy that folder and start it: gonogo up --data-dir COPY.
    """
    settings = Settings.from_env()
    source = (data_dir or settings.data_dir).expanduser().resolve()
    if settings.database_url or settings.blob_url:
        raise Usage("only a data dir is copied: use pg_dump and a copy of the blobs (docs/operations.md)")
    if not (source / _DATABASE).is_file():
        raise Usage(f"no data dir of gonogo: {source}")
    target = target.expanduser().absolute()
    if target.exists() or target.is_relative_to(source):
        raise Usage(f"the copy needs a new folder outside the data dir: {target}")
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.mkdir(mode=0o700, parents=True)
    except FileExistsError as error:
        raise Usage(f"an interrupted copy left this folder, remove it: {partial}") from error
    os.umask(0o077)  # the copy holds what the data dir holds: its files are their owner's alone, too
    try:
        figures = copy(source, partial)
        os.sync()
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if as_json:
        print_json({"target": str(target), **figures})
    else:
        print(
            f"{target}: {figures['batches']} batches, {figures['items']} items, {megabytes(figures['bytes'])}"
        )


def copy(source: Path, target: Path) -> dict[str, int]:
    """Copy a data dir; raises BackupFailed where the copy's database or bytes are not whole."""
    with (
        closing(
            sqlite3.connect(f"{(source / _DATABASE).absolute().as_uri()}?mode=ro", uri=True, timeout=30)
        ) as live,
        closing(sqlite3.connect(target / _DATABASE)) as kept,
    ):
        live.backup(kept)  # in one step: a copy in several starts again at each write
        with kept:
            kept.execute("DELETE FROM sessions")  # a copy must not revive a cookie
        verdict = kept.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise BackupFailed(f"the copy of the database is damaged: {verdict}")
        size = _copy_bytes(live, kept, BlobStore(source / "blobs"), BlobStore(target / "blobs"))
        (batches,) = kept.execute("SELECT count(*) FROM batches").fetchone()
        (items,) = kept.execute("SELECT count(*) FROM items").fetchone()
    if (source / "admin-key").exists():
        shutil.copy2(source / "admin-key", target / "admin-key")
    return {"batches": batches, "items": items, "bytes": size + (target / _DATABASE).stat().st_size}


def _copy_bytes(
    live: sqlite3.Connection, kept: sqlite3.Connection, source: BlobStore, target: BlobStore
) -> int:
    size = 0
    for (sha256,) in kept.execute("SELECT sha256 FROM model_versions"):
        size += _copy_file(source.artifact_path(sha256), target.artifact_path(sha256))
    needed = "SELECT batch_id, pack, max(offset + length) FROM items WHERE length > 0 GROUP BY batch_id, pack"
    for batch_id, pack, end in kept.execute(needed):
        try:
            copied = _copy_file(source.pack_path(batch_id, pack), target.pack_path(batch_id, pack))
        except FileNotFoundError:
            copied = 0
        if copied < end and live.execute("SELECT 1 FROM batches WHERE id = ?", (batch_id,)).fetchone():
            raise BackupFailed(f"pack {pack} of {batch_id} is not whole: `gonogo doctor --repair --dry-run`")
        size += copied
    return size


def _copy_file(source: Path, target: Path) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target.stat().st_size
