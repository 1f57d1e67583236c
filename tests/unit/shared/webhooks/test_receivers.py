"""Content filters: which objects a receiver takes."""

import pytest

from shared.contract.filters import EndpointFilters
from shared.webhooks.receivers import Content, Receiver

CONTENT = Content(["defect", "review"], "A3", {"shift": "early", "cell": 4, "urgent": True, "note": None})


@pytest.mark.parametrize(
    ("filters", "is_taken"),
    [
        ({}, True),
        ({"verdict": ["defect"]}, True),
        ({"verdict": ["no_defect"]}, False),
        ({"line": ["A3", "B1"]}, True),
        ({"line": ["B1"]}, False),
        ({"metadata": {"shift": "early"}}, True),
        ({"metadata": {"shift": "late"}}, False),
        ({"metadata": {"cell": 4}}, True),
        ({"metadata": {"cell": 4.0}}, True),
        ({"metadata": {"cell": "4"}}, True),
        ({"metadata": {"cell": True}}, False),
        ({"metadata": {"urgent": 1}}, False),
        ({"metadata": {"urgent": True}}, True),
        ({"metadata": {"urgent": "true"}}, True),
        ({"metadata": {"missing": "x"}}, False),
        ({"verdict": ["defect"], "line": ["B1"]}, False),
        ({"verdict": ["review"], "line": ["A3"], "metadata": {"shift": "early", "cell": 4}}, True),
    ],
)
def test_every_filter_must_let_the_object_pass(filters: EndpointFilters, is_taken: bool) -> None:
    receiver = Receiver("whe_1", "", "", "line", filters, False)
    assert receiver.takes(CONTENT) is is_taken
    assert receiver.takes(None), "an event without verdict, line and metadata passes"
