"""The kinds of defects that a model may know, and the guess that an item bears next to its verdict."""

from shared.contract.fields import About

MOST_KINDS = 64
LONGEST_KIND = 64
KIND = About(
    "the most likely kind of defect, a guess: of a defect, or of an image in the review band; null for all others, and "
    "where the model knows no kinds"
)


def is_kind(name: object) -> bool:
    """Whether a kind may have this name: 1 to LONGEST_KIND printable characters, without spaces at either end."""
    return (
        isinstance(name, str)
        and 1 <= len(name) <= LONGEST_KIND
        and name.isprintable()
        and name == name.strip()
    )
