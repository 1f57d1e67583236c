"""The findings of a look at a folder, for people and as JSON."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from training.data.records import Record

_NAMED = 50  # of a kind of finding; the count says how many there are


@dataclass
class Report:
    """The findings of `check`; `records` are the usable images, with groups merged where images are the same."""

    folder: str
    records: list[Record] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)  # images that no label reaches
    unreadable: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)  # not the bytes that the table's sha256 names
    sizes: dict[str, int] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)  # of another size or mode than nearly all the others
    exact_duplicates: int = 0
    exact_across_splits: int = 0  # sets of the same bytes that lie in more than one part of a given split
    near_duplicates: int = 0
    near_with_both_labels: int = 0
    joins_refused: int = 0
    without_print: int = 0  # too small or too blank to be compared by likeness
    contradictions: list[list[str]] = field(default_factory=list)
    leaks: list[list[str]] = field(default_factory=list)
    has_groups: bool = False

    def as_json(self) -> dict[str, Any]:
        """JSON-ready form, without the records; of long lists the first 50 and, in `counts`, how many."""
        labels = Counter(record.label for record in self.records)
        splits = Counter(record.split for record in self.records if record.split)
        lists = {name: getattr(self, name) for name in ("ignored", "unreadable", "changed", "odd")}
        return {
            "folder": self.folder,
            "images": len(self.records),
            "defect": labels[1],
            "no_defect": labels[0],
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
        }

    def as_text(self) -> str:
        """For a person, one finding a line."""
        entry = self.as_json()
        lines = [
            f"{entry['images']} images: {entry['defect']} defect, {entry['no_defect']} no_defect, "
            f"{entry['groups']} groups" + ("" if self.has_groups else " (by likeness, none given)"),
            "sizes: " + ", ".join(f"{size} ({count})" for size, count in list(self.sizes.items())[:5]),
            "modes: " + ", ".join(f"{mode} ({count})" for mode, count in self.modes.items()),
            f"exact duplicates: {self.exact_duplicates}"
            + (
                ", likeness not asked, since groups are given"
                if self.has_groups
                else f", near duplicates: {self.near_duplicates}"
            ),
        ]
        if self.without_print and not self.has_groups:
            lines.append(f"too small or too blank to be compared by likeness: {self.without_print}")
        if self.near_with_both_labels:
            lines.append(f"near duplicates with both labels (kept on one side): {self.near_with_both_labels}")
        if self.joins_refused:
            lines.append(
                f"likeness would have made groups too large {self.joins_refused} times: give a group column"
            )
        lines += _listed("unreadable, left out", self.unreadable)
        lines += _listed("not the bytes that the table's sha256 names", self.changed)
        lines += _listed("no label reaches, left out", self.ignored)
        lines += _listed("odd size or mode", self.odd)
        lines += _listed("same image, both labels, left out", [", ".join(c) for c in self.contradictions])
        if self.exact_across_splits:
            lines.append(f"the same bytes in two parts of the given split: {self.exact_across_splits} times")
        if self.leaks:
            lines.append(
                f"LEAK: {len(self.leaks)} groups lie on both sides of the given split; it can't be used as it is"
            )
        return "\n".join(lines)


def _listed(finding: str, names: list[str]) -> list[str]:
    shown = "; ".join(names[:5]) + (" …" if len(names) > 5 else "")
    return [f"{finding}: {len(names)} ({shown})"] if names else []
