"""Turns for a key, and what a transfer holds."""

import asyncio
import contextlib

import pytest

from web.server.refusals import Refusal
from web.server.slots import Slots, Transfer, Turns


def test_few_at_a_time_have_a_turn_and_a_key_without_users_is_forgotten() -> None:
    turns = Turns(2)
    at_once, most = 0, 0

    async def look(key: str) -> None:
        nonlocal at_once, most
        async with turns.of(key):
            at_once += 1
            most = max(most, at_once)
            try:
                await asyncio.sleep(0)
            finally:
                at_once -= 1

    async def all_of_them() -> None:
        looking = [asyncio.ensure_future(look("one")) for _ in range(20)]
        await asyncio.sleep(0)
        looking[0].cancel()
        await asyncio.gather(*looking, return_exceptions=True)
        for number in range(100):
            await look(f"key {number}")

    asyncio.run(all_of_them())
    assert most == 2
    assert len(turns) == 0


def test_a_transfer_that_waits_for_the_server_keeps_its_place() -> None:
    """A slow disk made an upload look quiet, and a crowd of silent ones took its place."""
    given_up = []

    async def crowd() -> None:
        slots = Slots(1, quiet_s=0.1, waiting=10)
        first, second = (
            Transfer(lambda: given_up.append("first")),
            Transfer(lambda: given_up.append("second")),
        )
        await slots.take(first)
        first.working()
        await asyncio.sleep(0.2)
        with pytest.raises(Refusal):
            await slots.take(second)
        assert given_up == []
        first.moved()
        await slots.take(second)

    asyncio.run(crowd())
    assert given_up == ["first"]


def test_quiet_transfers_are_replaced_one_after_the_other_where_a_beginning_costs_work() -> None:
    """Two thousand exports that nothing reads took each other's places, 64 in two seconds, and uploads stood still."""
    begun = []

    async def one(slots: Slots, number: int) -> None:
        with contextlib.suppress(Refusal):
            await slots.take(Transfer(lambda: None))
            begun.append(number)

    async def crowd() -> None:
        slots = Slots(4, quiet_s=0.05, waiting=16, replace_every_s=0.5)
        await asyncio.gather(*(one(slots, number) for number in range(40)))

    asyncio.run(crowd())
    assert 5 <= len(begun) <= 9, "four at once, and one in half a second for the two seconds of the others"
