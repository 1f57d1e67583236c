"""Numbers in the documents are those of the code: a constant that changes names the sentence that must follow."""

import ast
import csv
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A page, a sentence of it, a module, and the statements of that module that make the sentence true.
with (Path(__file__).parent / "documented_numbers.tsv").open(encoding="utf-8", newline="") as table:
    ROWS = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['page']}: {row['sentence']}" for row in ROWS])
def test_a_number_in_the_documents_is_that_of_the_code(row: dict[str, str]) -> None:
    page, sentence, module = row["page"], row["sentence"], row["module"]
    assert sentence in re.sub(r"\s+", " ", (ROOT / page).read_text(encoding="utf-8"))
    found = {ast.unparse(node) for node in ast.parse((ROOT / module).read_text(encoding="utf-8")).body}
    assert {*row["statements"].split(" ; ")} <= found, f"{module} says otherwise than {page}: {sentence!r}"
