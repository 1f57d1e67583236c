"""File names as clients send them: kept as sent, whatever encoding carried them. No path is ever made of one."""

import re
import unicodedata
from email.errors import HeaderParseError
from email.header import decode_header
from urllib.parse import unquote_to_bytes

from web.http.problems import HttpProblem
from web.upload.name_encodings import guessed

UNNAMED = "unnamed"
MAX_CHARACTERS = 1000
# objection() as keywords of JSON Schema.
SCHEMA = {"maxLength": MAX_CHARACTERS, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"}
_ENCODED_WORDS = re.compile(r"\s*=\?[^?\s]+\?[bqBQ]\?[^?\s]*\?=(?:\s+=\?[^?\s]+\?[bqBQ]\?[^?\s]*\?=)*\s*")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def decoded(raw: bytes, encoding: str = "", *, archive: bool = False) -> str:
    """The text of a name's bytes: UTF-8, else the configured `encoding`, else a guess. Never raises."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode(encoding, "replace") if encoding else guessed(raw, archive=archive)


def of_part(plain: bytes | None, extended: bytes | None, encoding: str = "") -> str:
    """The file name of a multipart part, from its `filename` and `filename*` parameters.

    `filename*` (RFC 8187) wins, as RFC 6266 says. A plain value may consist of RFC 2047 words, which .NET sends.
    Raises 400 for a `filename*` that can't be read, unless a plain name stands next to it.
    """
    if extended is not None:
        if (name := _extended(extended)) is not None:
            return name
        if not plain:
            raise HttpProblem(
                400,
                "malformed_multipart",
                "the multipart body is broken: the `filename*` of a part is no percent-encoded name in a known charset",
            )
    name = decoded(plain or b"", encoding)
    return _words(name) if _ENCODED_WORDS.fullmatch(name) else name


def objection(name: str) -> str | None:
    """Why a name can't be kept: a control character, half a surrogate pair, or its length. None for a good one."""
    if not name.isprintable():
        for character in name:
            if unicodedata.category(character) in ("Cc", "Cs"):
                return f"the file name has the control character {ord(character):#04x}"
    if len(name) > MAX_CHARACTERS:
        return f"the file name has {len(name)} characters; at most {MAX_CHARACTERS} are kept"
    return None


def checked(name: str) -> str:
    """The name, or `unnamed` for an empty one; raises 400 for a name that can't be kept."""
    if reason := objection(name):
        raise HttpProblem(
            400,
            "invalid_filename",
            reason,
            errors=[{"code": "invalid_filename", "detail": reason, "filename": shown(name)}],
        )
    return name or UNNAMED


def shown(name: str) -> str:
    """A name that can't be kept, as it may be shown: control characters replaced, and cut."""
    visible = ("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") else c for c in name[:MAX_CHARACTERS])
    return "".join(visible) or UNNAMED


def _extended(value: bytes) -> str | None:
    """`UTF-8''Geh%C3%A4use.jpg` decoded; None if it is malformed, so that the plain name counts."""
    charset, quote, rest = value.partition(b"'")
    _, second, text = rest.partition(b"'")
    if not quote or not second or _BROKEN_ESCAPE.search(text):
        return None
    try:
        return unquote_to_bytes(text).decode(charset.decode("ascii"))
    except (LookupError, ValueError):  # ValueError: a charset with a NUL
        return None


def _words(value: str) -> str:
    """RFC 2047 words decoded; the value itself if they are malformed."""
    try:
        return "".join(
            part if isinstance(part, str) else part.decode(charset or "ascii")
            for part, charset in decode_header(value.strip())
        )
    except (HeaderParseError, LookupError, ValueError):
        return value
