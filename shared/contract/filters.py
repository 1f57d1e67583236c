"""The content filters of a webhook endpoint: an event is sent only if its object passes them."""

from collections.abc import Mapping
from typing import Annotated

from annotated_types import Len, MaxLen
from typing_extensions import TypedDict

from shared.contract.fields import About, Label, OneOf, Rule, closed
from shared.contract.states import Verdict


def _is_plain(metadata: Mapping[str, object]) -> str | None:
    return None if all(len(key) <= 200 for key in metadata) else "a key has at most 200 characters"


@closed
class EndpointFilters(TypedDict, total=False):
    """An event is sent only if its object passes each filter. Events about no batch pass all of them."""

    verdict: Annotated[
        list[Annotated[str, OneOf(Verdict)]],
        Len(1, 3),
        About(
            "the item or part has one of these verdicts; the batch has such an item", examples=[["defect"]]
        ),
    ]
    line: Annotated[
        list[Label], Len(1, 100), About("the batch's production line is one of these", examples=[["A3"]])
    ]
    metadata: Annotated[
        dict[str, Annotated[str, MaxLen(1000)] | bool | int | float],
        Len(1, 20),
        Rule(_is_plain),
        About(
            "the metadata of the item, or else of its batch, has each of these members; a number or boolean also "
            "matches the text that spells it",
            examples=[{"shift": "early"}],
        ),
    ]
