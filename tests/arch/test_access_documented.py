"""docs/access.md lists the actions of the audit trail; `python -m tests.arch.test_access_documented` writes them."""

from pathlib import Path

from shared.contract.audit import ACTIONS

PAGE = Path(__file__).parents[2] / "docs" / "access.md"
BEGIN, END = "<!-- actions -->\n", "<!-- /actions -->"


def rows() -> str:
    """The table, with a row for each action."""
    titles = "| action | meaning, and members of `detail` |\n|---|---|\n"
    return titles + "".join(f"| `{action}` | {about} |\n" for action, about in ACTIONS.items())


def test_the_page_lists_exactly_the_actions() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == rows()


if __name__ == "__main__":
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + begin + rows() + END + rest.partition(END)[2], encoding="utf-8")
