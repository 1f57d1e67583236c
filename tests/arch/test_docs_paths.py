"""The paths that the documents name exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_TOP = ("bench", "docs", "shared", "tests", "training", "web", "worker")
_CODE = re.compile(rf"`((?:{'|'.join(_TOP)})/[\w./*-]+)`")
_LINK = re.compile(r"\]\(([^)#: ]+)(?:#[^)]*)?\)")


def missing(page: Path, text: str) -> list[str]:
    """The paths in code spans (from the root) and in links (from the page) that do not exist; `*` is a pattern."""
    named = [(ROOT, path) for path in _CODE.findall(text)]
    named += [(page.parent, path) for path in _LINK.findall(text) if not path.startswith("/")]
    return [path for base, path in named if not any(base.glob(path)) and not (base / path).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_document_names_exists(page: Path) -> None:
    assert missing(page, page.read_text(encoding="utf-8")) == []


def test_a_path_that_is_not_there_is_found() -> None:
    text = "see `shared/nowhere.py`, `web/api/batches.py` and [this](nowhere.md)"
    assert missing(ROOT / "README.md", text) == ["shared/nowhere.py", "nowhere.md"]


def test_every_decision_has_a_number_of_its_own() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(record.name[:4]) for record in records]
    assert len({*numbers}) == len(numbers)
    assert [
        record.name for record in records if f"# {int(record.name[:4])}. " not in record.read_text()
    ] == []
