"""File names as labels: they are shown and searched, and no path is ever made of one."""


def label(filename: str) -> str:
    """A file's name without control characters or a leading slash."""
    clean = filename
    if not filename.isprintable():
        clean = "".join(character for character in filename if character.isprintable())
    return clean.replace("\\", "/").lstrip("/")[-500:] or "unnamed"
