"""A labelled image, and the source that labelled images come from."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from shared.errors import GonogoError
from training.data.words import Words

_NAMED = 0.95
ALONE = "alone-or-alike-"  # begins the group of an image whose part the data does not name
SETTLE = "rename a folder, or list the images in images.csv"  # where folders name both labels


class DataError(GonogoError):
    """The folder can't be trained on; the sentence says why."""

    code = "unusable_data"


@dataclass(frozen=True)
class Record:
    """A labelled image; label 1 is a defect. `check` sets `identity` to the sha256 of the bytes; until then it is
    the hash that the table claims, or empty. `kind` says which defect it is where the data tells, `mask` names the
    file that marks the flawed pixels."""

    path: Path
    label: int
    group: str
    split: str | None = None
    identity: str = ""
    kind: str = ""
    mask: Path | None = None


@dataclass(frozen=True)
class Source:
    """A folder or a table, and the words of the person who knows it. `part` is a regular expression over the path of
    an image below the folder; its first group names the part."""

    path: Path
    words: Words = field(default_factory=Words)
    part: str | None = None


@dataclass
class Listing:
    """The records of a source and the images that are none. `has_groups`: a table, `part` or the views
    in file names (`views_tell`) tell the parts of nearly all."""

    records: list[Record]
    has_groups: bool = False
    views_tell: bool = False
    masks: list[Path] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)  # no label reaches them
    disputed: list[Path] = field(default_factory=list)  # their folders name both labels
    stray_masks: list[Path] = field(default_factory=list)  # masks by their pixels alone
    broken_links: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)  # images, and folders of images
    labelled_by_masks: bool = False
    from_table: bool = False
    idle_words: list[str] = field(default_factory=list)


def source_of(source: Path | Source) -> Source:
    """With an absolute path: images of two sources have a folder in common then, and a table has folders above it."""
    source = source if isinstance(source, Source) else Source(source)
    return replace(source, path=source.path.absolute())


def nearly_all_named(records: Sequence[Record]) -> bool:
    """Whether so many records name their part that the others can be taken for parts of their own."""
    return sum(bool(record.group) for record in records) >= max(1.0, _NAMED * len(records))


def root_of(path: Path) -> Path:
    """The folder that the names of images are relative to."""
    return path if path.is_dir() else path.parent


def name_of(path: Path, root: Path) -> str:
    """A path as reports show it."""
    return shown(path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix())


def contradicting(records: Sequence[Record]) -> set[str]:
    """The identities that bear both labels."""
    labels: defaultdict[str, set[int]] = defaultdict(set)
    for record in records:
        if record.identity:
            labels[record.identity].add(record.label)
    return {identity for identity, found in labels.items() if len(found) > 1}


def names_of(records: Sequence[Record]) -> list[str]:
    """Below the folder that holds all of them: `good/1.png` and `bad/1.png` are two images."""
    if not records:
        return []
    root = Path(os.path.commonpath([record.path.parent for record in records]))
    return [name_of(record.path, root) for record in records]


def shown(name: str) -> str:
    """A name as it can be printed and written: the bytes of a file name that are no UTF-8 become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def folders_of(paths: Sequence[Path], root: Path) -> str:
    """The folders of images, the largest first, and how many lie in each."""
    counts = Counter(name_of(path.parent, root) for path in paths)
    top = shown(root.resolve().name)
    named = [(top if name == "." else name, count) for name, count in counts.most_common(5)]
    return ", ".join(f"{name} ({count})" for name, count in named)
