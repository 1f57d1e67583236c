"""Chunks are small at first, then as large as a worker does in `chunk_s`, and small again at the end."""

from shared.settings import Settings
from web.upload import chunk_size


def sizes(total: int, most: int) -> list[int]:
    """The chunks of a batch of so many images."""
    made: list[int] = []
    while left := total - sum(made):
        taken = 0
        while taken < left and taken < chunk_size.items(most, len(made), left - taken):
            taken += 1
        made.append(taken)
    return made


def test_the_first_chunks_are_small_and_so_are_the_last() -> None:
    made = sizes(10_000, 256)
    assert made[:5] == [32, 64, 128, 256, 256]
    assert made[-1] <= 32
    assert sorted(made[-12:], reverse=True) == made[-12:]
    assert sum(made) == 10_000


def test_a_small_batch_is_one_chunk_or_two() -> None:
    assert sizes(1, 256) == [1]
    assert sizes(40, 256) == [32, 8]


def test_bytes_begin_small_too_and_end_at_what_is_set() -> None:
    settings = Settings(chunk_bytes=20 * 2**20)
    assert [chunk_size.max_bytes(number, settings) // 2**20 for number in range(4)] == [8, 16, 20, 20]
