"""The findings of a look at a folder, for people and as JSON."""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shared.errors import ItemError
from shared.json_text import Card
from shared.vision.tones import NO_FULL_SCALE
from training.data.records import (
    ALONE,
    SETTLE,
    Listing,
    Record,
    Source,
    folders_of,
    name_of,
    root_of,
    shown,
    source_of,
)

_NAMED = 50  # of a kind of finding; the count says how many there are
# Sets that show parts again had 20 times the errors, and independent ones of whole images at most 1.5 times.
_TIMES, _MORE = 3.0, 0.04  # errors, and errors more as a share of the images
_LISTS = ("ignored", "disputed", "stray_masks", "broken_links", "hidden", "unreadable", "changed", "odd")


@dataclass(frozen=True)
class LikeImages:
    """Shares of the images, both labels counted alike, and of the good ones alone, that pretrained features tell right:
    where images like those that are judged were learned, and where they are kept `apart`."""

    right: float
    right_good: float
    apart: float
    apart_good: float

    @property
    def tell_too_much(self) -> bool:
        """Whether like images show parts again: figures that mix them are far too good for new ones. Good images have
        to be recognised too, because a family of defects may be a kind, and no model knows a kind that it never saw."""
        both = ((1 - self.right, 1 - self.apart), (1 - self.right_good, 1 - self.apart_good))
        return all(apart >= _TIMES * mixed and apart - mixed >= _MORE for mixed, apart in both)

    def __str__(self) -> str:
        return (
            f"pretrained features tell {self.right:.1%} of the images right ({self.right_good:.1%} of the good ones), "
            f"and {self.apart:.1%} ({self.apart_good:.1%}) where like images are kept apart"
        )


@dataclass
class Report:
    """The findings of `check`; `records` are the usable images, with groups merged where images are the same."""

    folder: str
    records: list[Record] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)  # images that no label reaches
    ignored_folders: str = ""  # the folders of these, and how many lie in each
    disputed: list[str] = field(default_factory=list)  # images whose folders name both labels
    disputed_folders: str = ""
    stray_masks: list[str] = field(default_factory=list)  # masks by their pixels alone
    broken_links: list[str] = field(default_factory=list)  # symbolic links that lead nowhere
    hidden: list[str] = field(
        default_factory=list
    )  # images, and folders of images, whose name begins with a dot
    unreadable: list[str] = field(default_factory=list)  # images that the service would refuse
    reasons: dict[str, str] = field(default_factory=dict)  # of each of them
    idle_words: list[str] = field(default_factory=list)  # of --good and --defect, which name nothing
    masks: int = 0
    labelled_by_masks: bool = False  # no folder names a label; an image whose mask marks a pixel is a defect
    proposed: list[list[str]] = field(default_factory=list)  # images that their names say show one part
    turned: list[list[str]] = field(default_factory=list)  # images of one view, turned or mirrored
    families: int = 0  # groups that like images became, because the set shows parts again
    like_images: "LikeImages | None" = None  # None where pretrained features were not asked
    changed: list[str] = field(default_factory=list)  # not the bytes that the table's sha256 names
    sizes: dict[str, int] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)  # of another size or mode than nearly all the others
    exact_duplicates: int = 0
    exact_across_splits: int = 0  # sets of the same bytes that lie in more than one part of a given split
    near_duplicates: int = 0
    near_with_both_labels: int = 0
    joins_refused: int = 0
    without_print: int = 0  # too small or too even to be compared by likeness
    contradictions: list[list[str]] = field(default_factory=list)
    leaks: list[list[str]] = field(default_factory=list)
    from_table: bool = False  # whose lines alone label images
    has_groups: bool = False
    views_tell: bool = False  # these groups are those of views in file names
    named: int = 0  # images whose part the data names
    tested: "Report | None" = None  # another folder, which is the test part

    @property
    def knows_parts(self) -> bool:
        """Whether the data or its file names tell which images show one part, or like images are kept apart."""
        return self.has_groups or bool(self.proposed) or self.families > 0

    def part_names(self) -> set[str]:
        """The names that the data gives to parts."""
        return {record.group for record in self.records if not record.group.startswith(ALONE)}

    def note_leaks(self, root: Path) -> None:
        """Name the images of each group that lies in several parts of a split that the data names."""
        sides: defaultdict[str, set[str]] = defaultdict(set)
        names: defaultdict[str, list[str]] = defaultdict(list)
        for record in self.records:
            if record.split is not None:
                sides[record.group].add(record.split)
                names[record.group].append(name_of(record.path, root))
        self.leaks = [names[group] for group, splits in sides.items() if len(splits) > 1]

    def refuse(self, name: str, error: ItemError) -> None:
        """Leave an image out, with the error that the service would answer with."""
        self.unreadable.append(name)
        self.reasons[name] = f"{error.code}: {error.detail}"

    def refusals(self) -> str:
        """How many images are left out for which reason."""
        counts = Counter(reason.partition(":")[0] for reason in self.reasons.values())
        return ", ".join(f"{code} {count}" for code, count in counts.most_common())

    def left_out(self) -> list[str]:
        """For a person, one finding a line: what the names of folders and files leave out."""
        lines = []
        if self.idle_words:
            lines.append(f"--good and --defect: nothing is named {', '.join(self.idle_words)}")
        lines += listed_line("no label reaches, left out", self.ignored)
        if self.ignored:
            lines.append(f"  in {self.ignored_folders}: {self.advice()}")
        lines += listed_line("folders name both labels, left out", self.disputed)
        if self.disputed:
            lines.append(f"  in {self.disputed_folders}: {SETTLE}")
        lines += listed_line("masks by their pixels, left out", self.stray_masks)
        lines += listed_line("links that lead nowhere", self.broken_links)
        return lines + listed_line("hidden by a name that begins with a dot, left out", self.hidden)

    def advice(self) -> str:
        """How the images that no label reaches get one."""
        return (
            "a line in the table labels an image"
            if self.from_table
            else "--good NAME or --defect NAME says what they are"
        )

    def pixel_sizes(self) -> list[tuple[int, int]]:
        """(width, height) of every image."""
        found = []
        for size, count in self.sizes.items():
            width, height = size.split("x")
            found += [(int(width), int(height))] * count
        return found

    def as_json(self) -> Card:
        """JSON-ready form, without the records; of long lists the first 50 and, in `counts`, how many."""
        labels = Counter(record.label for record in self.records)
        splits = Counter(record.split for record in self.records if record.split)
        lists = {name: getattr(self, name) for name in _LISTS}
        return {
            "folder": self.folder,
            "images": len(self.records),
            "defect": labels[1],
            "no_defect": labels[0],
            "kinds": dict(Counter(record.kind for record in self.records if record.kind).most_common(_NAMED)),
            "masks": self.masks,
            "groups_proposed_by_name": len(self.proposed),
            "views_seen_turned": len(self.turned),
            "families": self.families,
            "like_images": None if self.like_images is None else asdict(self.like_images),
            "groups": len({record.group for record in self.records}),
            "groups_given": self.has_groups,
            "given_split": dict(sorted(splits.items())),
            "sizes": dict(list(self.sizes.items())[:_NAMED]),
            "modes": self.modes,
            "exact_duplicates": self.exact_duplicates,
            "exact_duplicates_across_splits": self.exact_across_splits,
            "near_duplicates": self.near_duplicates,
            "near_duplicates_with_both_labels": self.near_with_both_labels,
            "joins_refused": self.joins_refused,
            "without_print": self.without_print,
            "contradicting_labels": self.contradictions[:_NAMED],
            "leaks_between_splits": len(self.leaks),
            "counts": {name: len(found) for name, found in lists.items()},
            **{name: found[:_NAMED] for name, found in lists.items()},
            "reasons": dict(list(self.reasons.items())[:_NAMED]),
        }

    def _how_grouped(self) -> str:
        if self.has_groups:
            return ""
        return (
            f" (given for {self.named} images, else by likeness)"
            if self.named
            else " (by likeness, none given)"
        )

    def as_text(self) -> str:
        """For a person, one finding a line."""
        entry = self.as_json()
        lines = [
            f"{entry['images']} images: {entry['defect']} defect, {entry['no_defect']} no_defect, "
            f"{entry['groups']} groups{self._how_grouped()}",
            "sizes: " + ", ".join(f"{size} ({count})" for size, count in list(self.sizes.items())[:5]),
            "modes: " + ", ".join(f"{mode} ({count})" for mode, count in self.modes.items()),
            f"exact duplicates: {self.exact_duplicates}"
            + (
                f", likeness not asked, since {'the names of views' if self.views_tell else 'the data'} tell the parts"
                if self.has_groups
                else f", near duplicates: {self.near_duplicates}"
            ),
        ]
        if entry["kinds"]:
            lines.append("kinds: " + ", ".join(f"{kind} ({count})" for kind, count in entry["kinds"].items()))
        if self.proposed:
            lines.append(
                f"{len(self.proposed)} parts proposed by name and borne out by likeness: {_told(self.proposed)}"
            )
        if self.turned:
            lines.append(
                f"{len(self.turned)} views seen again turned or mirrored, each kept on one side though a part may "
                f"have several: {_told(self.turned)}"
            )
        if self.labelled_by_masks:
            lines.append("no folder names a label: an image whose mask marks a pixel is a defect")
        if self.masks:
            lines.append(f"masks, not learned as images: {self.masks}")
        if self.without_print and not self.has_groups:
            lines.append(f"too small or too even to be compared by likeness: {self.without_print}")
        if self.near_with_both_labels:
            lines.append(f"near duplicates with both labels (kept on one side): {self.near_with_both_labels}")
        if self.joins_refused:
            lines.append(
                f"likeness would have made groups too large {self.joins_refused} times: give a group column"
            )
        lines += listed_line("unreadable, left out", self.unreadable)
        lines += [f"  {name}: {reason}" for name, reason in list(self.reasons.items())[:5]]
        if any(NO_FULL_SCALE in reason for reason in self.reasons.values()):
            lines.append("  --full-scale N says which value is white in images of more than 8 bits")
        lines += listed_line("not the bytes that the table's sha256 names", self.changed)
        lines += self.left_out()
        lines += listed_line("odd size or mode", self.odd)
        lines += listed_line("same image, both labels, left out", [", ".join(c) for c in self.contradictions])
        if self.exact_across_splits:
            lines.append(f"the same bytes in two parts of the given split: {self.exact_across_splits} times")
        if self.leaks:
            lines.append(
                f"LEAK: {len(self.leaks)} groups lie on both sides of the given split; it can't be used as it is"
            )
        return "\n".join(lines)


def report_of(listed: Listing, source: Source) -> Report:
    """The findings of a listing alone, before a look at any image."""
    source = source_of(source)
    root = root_of(source.path)
    return Report(
        shown(source.path.name),
        has_groups=listed.has_groups,
        views_tell=listed.views_tell,
        ignored=[name_of(path, root) for path in listed.ignored],
        ignored_folders=folders_of(listed.ignored, root),
        disputed=[name_of(path, root) for path in listed.disputed],
        disputed_folders=folders_of(listed.disputed, root),
        stray_masks=[name_of(path, root) for path in listed.stray_masks],
        broken_links=[name_of(path, root) for path in listed.broken_links],
        hidden=[name_of(path, root) for path in listed.hidden],
        from_table=listed.from_table,
        idle_words=[shown(word) for word in listed.idle_words],
        masks=len(listed.masks),
        labelled_by_masks=listed.labelled_by_masks,
    )


def _told(proposals: list[list[str]]) -> str:
    first = sorted(proposals, key=len, reverse=True)[:3]
    told = "; ".join(f"these {len(names)} look like one part: {_ends(names)}" for names in first)
    return f"{told}; --part REGEX tells otherwise"


def _ends(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{names[0]}, {names[1]}, …, {names[-1]}"


def listed_line(finding: str, names: list[str]) -> list[str]:
    """The finding with the number of the names and the first of them; no line without names."""
    shown = "; ".join(names[:5]) + (" …" if len(names) > 5 else "")
    return [f"{finding}: {len(names)} ({shown})"] if names else []
