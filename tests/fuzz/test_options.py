"""Any text as options: either options that the contract knows, or a refusal with a pointer for each fault."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.contract.options import Options
from web.http.problems import HttpProblem
from web.upload.options import read_options

NAMES = st.sampled_from([*Options.__annotations__, "treshold", "", "\0"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
POINTS = st.fixed_dictionaries(
    {}, optional={"threshold": LEAVES, "review_band": st.lists(LEAVES, max_size=3), "treshold": LEAVES}
)


def judged(text: bytes) -> Any:
    """The options, or the refusal; anything else that is raised fails the test."""
    try:
        return read_options(text)
    except HttpProblem as problem:
        # 422: a rule that the document cannot state, such as the order of a review band.
        known = [(400, "invalid_options"), (422, "invalid_options"), (413, "request_too_large")]
        assert (problem.status, problem.code) in known
        assert problem.status == 413 or problem.errors
        return problem


@given(st.binary(max_size=300))
def test_fuzz_any_bytes(data: bytes) -> None:
    judged(data)


@given(st.dictionaries(NAMES, VALUES | POINTS, max_size=6))
def test_fuzz_any_json_object(asked: dict[str, Any]) -> None:
    found = judged(json.dumps(asked).encode())
    if isinstance(found, dict):
        assert set(asked) <= set(Options.__annotations__)


@given(st.integers(1, 50_000), st.sampled_from(["[", '{"metadata":', '[{"a":', '"\\ud800']))
def test_fuzz_depth_and_length(times: int, piece: str) -> None:
    assert isinstance(judged((piece * times).encode()), HttpProblem)
