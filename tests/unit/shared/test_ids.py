"""Ids sort by the time they were made, and an item's id says where it is."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ids import item_id, new_id, split_item_id

PLACES = st.integers(0, 2**30 - 1)


def test_ids_are_prefixed_and_of_one_length() -> None:
    made = {new_id("bat") for _ in range(1000)}
    assert len(made) == 1000
    assert {(entry[:4], len(entry)) for entry in made} == {("bat_", 30)}
    assert set("".join(entry[4:] for entry in made)) <= set("0123456789abcdefghjkmnpqrstvwxyz")


def test_ids_sort_by_time() -> None:
    made = []
    for _ in range(20):
        made.append(new_id("bat"))
        time.sleep(0.002)
    assert made == sorted(made)


@given(PLACES)
def test_an_item_id_leads_back_to_its_place(seq: int) -> None:
    batch_id = new_id("bat")
    assert split_item_id(item_id(batch_id, seq)) == (batch_id, seq)


@given(PLACES, PLACES)
def test_item_ids_sort_by_place(one: int, other: int) -> None:
    batch_id = new_id("bat")
    assert (item_id(batch_id, one) < item_id(batch_id, other)) == (one < other)


@given(st.text(max_size=60))
def test_text_that_is_no_item_id_is_nothing(text: str) -> None:
    assert split_item_id(text) is None or text.startswith("itm_")


@pytest.mark.parametrize("text", ["", "itm_", "bat_" + "0" * 32, "itm_" + "0" * 31, "itm_" + "0" * 31 + "u"])
def test_almost_an_item_id_is_nothing(text: str) -> None:
    assert split_item_id(text) is None
