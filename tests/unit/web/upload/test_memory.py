"""The memory that uploads hold at the same time is counted before it is taken."""

import pytest

from web.http.problems import HttpProblem
from web.upload.memory import FREE_BYTES, Memory, Share


def test_a_tenant_gets_its_share_and_leaves_the_rest_to_others() -> None:
    memory = Memory(most=100, of_a_tenant=60)
    with Share(memory, "a") as one, Share(memory, "b") as other:
        one.hold(FREE_BYTES + 50)
        other.hold(FREE_BYTES + 40)
        with Share(memory, "a") as more, pytest.raises(HttpProblem) as refused:
            more.hold(FREE_BYTES + 11)
        assert (refused.value.status, refused.value.code) == (503, "overloaded")
        with Share(memory, "c") as third, pytest.raises(HttpProblem):
            third.hold(FREE_BYTES + 11)
        assert memory.held() == 90
    assert memory.held() == 0


def test_small_uploads_are_not_counted_and_bytes_add_up() -> None:
    memory = Memory(most=100, of_a_tenant=100)
    with Share(memory, "a") as share:
        share.hold(FREE_BYTES)
        assert memory.held() == 0
        share.hold(30)
        share.hold(30)
        assert memory.held() == 60
        with pytest.raises(HttpProblem):
            share.hold(50)
        assert memory.held() == 60, "the bytes that were refused are not counted"
    assert memory.held() == 0
