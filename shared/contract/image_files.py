"""Which files count as images: one rule for the CLI, the page, archives and the decoder.

A file is an image if its first bytes say so, whatever its extension. A file with an image's extension and other
bytes is a damaged image: it is taken, and its item fails with a code, since a part whose image was lost must not
vanish from the counts. Files that operating systems leave in folders are skipped by name, before a byte is read.
Callers count the skipped files and show the reason.
"""

from pathlib import PurePosixPath

HEAD_BYTES = 32  # enough for every signature below
NOT_AN_IMAGE = "not a JPEG, PNG, WebP, BMP or TIFF image"
EMPTY = "the file is empty"
HIDDEN = "hidden"
SYSTEM_FILES = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir"})
_EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff")
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})


def image_kind(head: bytes | memoryview) -> str | None:
    """`JPEG`, `PNG`, `WEBP`, `BMP` or `TIFF` by a file's first HEAD_BYTES bytes; None for everything else."""
    head = bytes(head[:HEAD_BYTES])
    if head.startswith((b"\xff\xd8\xff", b"\r\n\xff\xd8\xff")):  # some cameras write an empty line first
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    # Two letters begin many a text file too; the size of the BMP header that follows tells them apart.
    if head.startswith(b"BM") and (len(head) < 18 or int.from_bytes(head[14:18], "little") in _BMP_HEADERS):
        return "BMP"
    if head.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")):
        return "TIFF"
    return None


def skip_by_name(path: str) -> str | None:
    """Why a file is skipped unread: a system file or a hidden one. `path` is relative to the folder or archive that
    was sent, so that a hidden folder above it does not count. None for a file whose first bytes must be looked at.
    """
    for part in PurePosixPath(path.replace("\\", "/")).parts:
        if part.startswith("._") or part == ".DS_Store" or part.lower() in SYSTEM_FILES:
            return "a file of the operating system"
        if part.startswith(".") and part not in (".", ".."):
            return HIDDEN
    return None


def skip_by_content(head: bytes | memoryview) -> str | None:
    """Why a file with these first bytes is skipped; None for an image."""
    if not head:
        return EMPTY
    return None if image_kind(head) else NOT_AN_IMAGE


def claims_image(name: str) -> bool:
    """Whether the extension says that the file is an image; such a file is taken whatever its first bytes are."""
    return name.lower().endswith(_EXTENSIONS)
