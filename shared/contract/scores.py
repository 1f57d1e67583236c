"""The histogram of a batch's scores, from which a page computes what a moved threshold changes."""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from shared.contract.fields import About, OneOf
from shared.contract.operating_point import OperatingPointPayload
from shared.contract.states import PartRule

BINS = 1000
NAMED_PARTS = 3


class ScoresPayload(TypedDict):
    """The scores of a batch that has ended. Bin number b holds scores from b / bins on, and the last one holds 1."""

    object: Literal["scores"]
    batch_id: str
    bins: int
    operating_point: OperatingPointPayload
    revision: int
    items: Annotated[
        list[list[int]],
        About(
            "for each bin that is not empty: its number, the items that the score decides, and those that the guard "
            "holds in review"
        ),
    ]
    parts: Annotated[
        list[list[int]],
        About(
            "by the score that decides the part, its highest view by the rule `any_defect` and its lowest by "
            "`all_defect`: the bin, the parts that the score decides, and those that another view keeps from the "
            "verdict of all views"
        ),
    ]
    named_parts: Annotated[
        dict[str, list[str]],
        About(
            f"the ids of the first {NAMED_PARTS} parts in each bin that the score decides, by the number of the bin"
        ),
    ]
    review_parts: Annotated[int, About("parts that are in review whatever the threshold is")]
    part_rule: Annotated[str, OneOf(PartRule)]
