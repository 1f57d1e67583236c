"""The label of an image, and the kind of its defect, as the folders above it name them.

A folder next to `good` below `test` is a kind of defect, as in MVTec AD, and so is one of the same name below the
`train` next to that `test`. The name of the given folder itself says less than the names below it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.data.words import NUMBERS, Words, names_kind, plain, split_of

Folders = tuple[str, ...]


@dataclass(frozen=True)
class Named:
    """A label and a kind; `disputed` where folders of one path name both labels."""

    label: int | None
    kind: str = ""
    disputed: bool = False


class Labels:
    """The labels that the folders of some images name."""

    def __init__(self, root: Path, images: Sequence[Path], words: Words) -> None:
        self._root, self._words = root, words
        self._top = root.resolve().name
        self._children: defaultdict[Folders, set[str]] = defaultdict(set)
        for folders in {self.above(path) for path in images}:
            for depth, name in enumerate(folders):
                self._children[folders[:depth]].add(name)
        self._kinds = self._kinds_below_test()

    def above(self, path: Path) -> Folders:
        """The folders between the given one and an image."""
        return path.relative_to(self._root).parts[:-1]

    def by_words(self, path: Path) -> Named:
        """The label that all folders above an image name that name one, or the nearest if its word is the person's."""
        above = self.above(path)
        found = {
            depth: label for depth in range(len(above)) if (label := self._label(above, depth)) is not None
        }
        if not found:
            return Named(None)
        depth = max(found)
        name, below, own = above[depth], above[depth + 1 :], self._words.given(above[depth]) is not None
        if len(set(found.values())) == 2 and not own:
            return Named(None, disputed=True)
        names = (name, *below) if above[: depth + 1] in self._kinds else below
        kind = next((part for part in names if names_kind(part)), name if own else "")
        return Named(found[depth], kind if found[depth] else "")

    def by_numbers(self, path: Path) -> Named:
        """The label of a folder such as `0`, `1` or `true`, unless a folder of another number lies next to it."""
        above = self.above(path)
        found = set()
        for depth, name in enumerate(above):
            numbered = {other for other in self._children[above[:depth]] if other.isdigit()}
            if name.lower() in NUMBERS and numbered <= {"0", "1"}:
                found.add(NUMBERS[name.lower()])
        return Named(None, disputed=True) if len(found) == 2 else Named(next(iter(found), None))

    def by_top(self, *, alone: bool) -> Named:
        """The label that the name of the given folder says of images that no other word labels. Where some images are
        labelled, not `alone`, a whole word of the person's counts, and no pattern or usual word."""
        own = self._words.given(self._top, whole=not alone)
        label = own if own is not None or not alone else self._words.label(self._top)
        return Named(label, self._top if label and own is not None else "")

    def _label(self, above: Folders, depth: int) -> int | None:
        return 1 if above[: depth + 1] in self._kinds else self._words.label(above[depth])

    def _kinds_below_test(self) -> set[Folders]:
        """Folders next to one of good parts below `test`, where no usual word there says `defect`, and those of the
        same names below the other parts of that split."""
        parts = {above: split_of(above[-1] if above else self._top) for above in self._children}
        kinds = set()
        for test in (above for above, part in parts.items() if part == "test"):
            labels = {name: self._words.label(name) for name in self._children[test]}
            bad = [name for name, label in labels.items() if label == 1 and self._words.given(name) is None]
            if bad or 0 not in labels.values():
                continue
            found = {plain(name) for name, label in labels.items() if label is None}
            for above, part in parts.items():
                if above == test or (part and above and test and above[:-1] == test[:-1]):
                    kinds |= {(*above, name) for name in self._children[above] if plain(name) in found}
        return kinds
