"""Text that a client sent, as a person may read it."""

import re

# The marks, embeddings, overrides and isolates of Unicode's bidirectional algorithm: they have no shape of their own
# and reorder the text around them, so that `a<U+202E>gpj.exe` reads `aexe.jpg`.
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""The text with `\u202e` written out for U+202E, and the like for each other character that turns the order."""
    return _DIRECTION.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
