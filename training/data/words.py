"""Words that name a label, a part of a split or a folder of masks, in folders and in tables."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

_DEFECT = {
    "defect", "defects", "defective", "def", "def_front", "positive", "bad", "ng", "nok", "not_ok", "notok", "ko",
    "nio", "n_io", "fail", "failed", "faulty", "anomaly", "anomalies", "anomalous", "abnormal", "reject", "rejected",
}  # fmt: skip
_GOOD = {
    "no_defect", "no_defects", "nodefect", "defect_free", "ok", "ok_front", "io", "good", "negative", "normal", "pass",
    "passed", "accept", "accepted",
}  # fmt: skip
NUMBERS = {"1": 1, "true": 1, "wahr": 1, "vrai": 1, "0": 0, "false": 0, "falsch": 0, "faux": 0}
_SPLITS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
_NOT = re.compile(
    r"(?:no|not|non|without|free_of|free_from|nicht|kein|keine|ohne|sans|sin|senza)_(.+)|(.+)_free"
)
_MASKS = {
    "ground_truth", "groundtruth", "gt", "mask", "masks", "segmentation", "segmentations", "segmentationclass",
    "segmentationobject",
}  # fmt: skip
_PERHAPS_MASKS = {*_MASKS, "truth", "seg", "label", "labels", "annotation", "annotations"}
_SAY_NOTHING = {"data", "image", "images", "img", "imgs", "jpegimages", "photos", "pictures", "rgb"}
_NO_KIND = re.compile(
    r"\d{4}|(?<!\d)\d{1,2}[-_. ]\d{1,2}[-_. ]\d\d(?!\d)|_json$|^[ps]\d+$"  # a date, a serial number, labelme's folder
    r"|(?<![a-z])(?:cam|camera|view|lot|part|batch|line|shift|week|station|machine|serial|sn)[-_. #]*\d"
)


def plain(text: str) -> str:
    """Lower case, with words joined by one underscore and without dots: `Not-OK` and `not ok` are `not_ok`."""
    return re.sub(r"[\s_-]+", "_", _same(text)).replace(".", "")


def number_of(text: str) -> int | None:
    """The label that a cell such as `1`, `0,0` or `TRUE` means; None for every other text."""
    whole = re.fullmatch(r"([01])[.,]0+", text.strip())
    return int(whole[1]) if whole else NUMBERS.get(_same(text))


def _same(text: str) -> str:
    """A name in the form that is compared: macOS writes an accent as a character of its own."""
    return unicodedata.normalize("NFC", text).strip().lower()


def split_of(text: str) -> str | None:
    """`train`, `validation` or `test`; None for every other word."""
    return _SPLITS.get(plain(text))


def names_masks(text: str) -> bool:
    """Whether a folder of this name holds masks, which are no images of parts."""
    return plain(text) in _MASKS


def may_name_masks(text: str) -> bool:
    """Whether a folder of this name may hold masks, which their pixels then tell."""
    return not _PERHAPS_MASKS.isdisjoint(plain(text).split("_"))


def names_kind(text: str) -> bool:
    """Whether the name of a folder below a label can say which defect its images show; dates, serial numbers and
    numbered cameras, lots or machines can't."""
    says_nothing = text.isdigit() or plain(text) in _SAY_NOTHING or _NO_KIND.search(_same(text))
    return not says_nothing and split_of(text) is None


@dataclass(frozen=True)
class Words:
    """The words that a person adds: patterns such as `MT_*`, matched without regard to case. Raises ValueError for a
    word with both meanings."""

    good: tuple[str, ...] = ()
    defect: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        both = {_same(word) for word in self.good} & {_same(word) for word in self.defect}
        if both:
            raise ValueError(f"--good and --defect both name {', '.join(sorted(both))}")

    def given(self, text: str, *, whole: bool = False) -> int | None:
        """The label that the person's own words give to a name, `whole` names alone or patterns too."""
        word = _same(text)
        # A whole name says more than a pattern.
        for matches in (str.__eq__,) if whole else (str.__eq__, fnmatchcase):
            for label, patterns in ((1, self.defect), (0, self.good)):
                if any(matches(word, _same(pattern)) for pattern in patterns):
                    return label
        return None

    def idle(self, names: Iterable[str]) -> list[str]:
        """The person's words that no name bears."""
        known = {_same(name) for name in names}
        words = [_same(word) for word in (*self.good, *self.defect)]
        return [
            word for word in words if word not in known and not any(fnmatchcase(name, word) for name in known)
        ]

    def label(self, text: str) -> int | None:
        """The label that a name means, 1 for a defect; the person's own words go first."""
        own = self.given(text)
        if own is not None:
            return own
        word = plain(text)
        label = _usual(word)
        denied = _NOT.fullmatch(word) if label is None else None
        if denied is None:
            return label
        other = _usual(denied[1] or denied[2])
        return None if other is None else 1 - other


def _usual(word: str) -> int | None:
    return 1 if word in _DEFECT else 0 if word in _GOOD else None
