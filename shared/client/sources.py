"""The files to send: files, the images in folders, or one archive.

Each file of a folder is sent or reported as skipped, with the reason.
"""

import os
from collections.abc import Callable, Iterable, Iterator

from shared.client.errors import UnusableInput
from shared.client.multipart import Multipart
from shared.contract.image_files import HEAD_BYTES, claims_image, skip_by_content, skip_by_name

Source = str | os.PathLike[str] | tuple[str, bytes]
Skipped = Callable[[str, str], None]
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")


def add_sources(body: Multipart, sources: Iterable[Source], skipped: Skipped | None = None) -> None:
    """Add files, folders and (name, bytes) as images, or one archive as an archive.

    A file that is named is sent whatever it holds; a file in a folder is sent if its content or its extension is an
    image's, else `skipped(name, reason)` is called. Several paths get names relative to the folder that holds them
    all, so that equal file names in two folders stay distinguishable.

    Raises UnusableInput for a path that does not exist, a folder without images, or an archive with other input.
    """
    sources = list(sources)
    prefix = _common_folder([os.fspath(source) for source in sources if not isinstance(source, tuple)])
    archives = 0
    for source in sources:
        if isinstance(source, tuple):
            name, data = source
            body.add_image(name, data, len(data))
            continue
        path = os.fspath(source)
        name = os.path.abspath(path)[len(prefix) :] if prefix else os.path.basename(path)  # noqa: PTH100, PTH119
        try:
            size = os.stat(path).st_size  # noqa: PTH116 - a Path object an image would cost more than the call
        except OSError as error:
            raise UnusableInput(f"{path}: {error.strerror}") from error
        if os.path.isdir(path):  # noqa: PTH112
            _add_folder(body, path, f"{name}/" if prefix else "", skipped)
        elif path.lower().endswith(ARCHIVE_SUFFIXES):
            archives += 1
            body.add("archive", os.path.basename(path), path, size, "application/octet-stream")  # noqa: PTH119
        else:
            body.add_image(name, path, size)
    if archives and body.parts > 1:
        raise UnusableInput("an archive is a batch of its own: submit it by itself")
    if not body.parts:
        raise UnusableInput("nothing to submit")


def _common_folder(paths: list[str]) -> str:
    """The folder, with its slash, that holds all of several paths; "" for a single path."""
    if len(paths) < 2:
        return ""
    folders = {os.path.dirname(os.path.abspath(path)) for path in paths}  # noqa: PTH100, PTH120
    return os.path.commonpath(folders).rstrip("/") + "/"


def _add_folder(body: Multipart, folder: str, prefix: str, skipped: Skipped | None) -> None:
    before, left_out = body.parts, 0
    for inside, path, size, reason in walk(folder):
        if reason is None:
            body.add_image(prefix + inside, path, size)
            continue
        left_out += 1
        if skipped is not None:
            skipped(prefix + inside, reason)
    if body.parts == before:
        raise UnusableInput(f"{folder}: no images in this folder ({left_out} files were skipped)")


def walk(folder: str) -> Iterator[tuple[str, str, int, str | None]]:
    """(name inside the folder, path, size, None or why it is skipped) of every file below, in a stable order.

    Links are followed. A folder that two links reach is walked once, so that a loop of links ends.
    """
    pending = [""]
    walked: set[tuple[int, int]] = set()
    while pending:
        inside = pending.pop()
        here = f"{folder}/{inside}" if inside else folder
        try:
            found = os.stat(here)  # noqa: PTH116
            if (found.st_dev, found.st_ino) in walked:
                yield inside, here, 0, "a link to a folder that is sent already"
                continue
            walked.add((found.st_dev, found.st_ino))
            with os.scandir(here) as entries:
                names = {entry.name: entry for entry in entries}
        except OSError as error:
            raise UnusableInput(f"{error.filename}: {error.strerror}") from error
        folders = []
        for last in sorted(names):
            entry = names[last]
            name = f"{inside}/{last}" if inside else last
            if (
                claims_image(last) and last[0] != "." and entry.is_file()
            ):  # thousands in a batch: not opened here
                yield name, entry.path, entry.stat().st_size, None
            elif reason := skip_by_name(last):
                yield name, entry.path, 0, reason
            elif entry.is_dir():
                folders.append(name)
            else:
                yield name, entry.path, *_look(entry.path)
        pending.extend(reversed(folders))


def _look(path: str) -> tuple[int, str | None]:
    """A file's size, and why it is skipped."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe must not hold us up
    except FileNotFoundError:
        return 0, "a link to nothing"
    except OSError as error:
        raise UnusableInput(f"{path}: {error.strerror}") from error
    try:
        return os.fstat(descriptor).st_size, skip_by_content(os.read(descriptor, HEAD_BYTES))
    except OSError as error:
        raise UnusableInput(f"{path}: {error.strerror}") from error
    finally:
        os.close(descriptor)
