"""Pages that keep a table which a program writes, between two marks."""

from pathlib import Path

BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def put_table(page: Path, table: str) -> None:
    """Put a table between the marks of a page, in place of the one that is there."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")
