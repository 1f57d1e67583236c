"""How well the model and persons agree, and the rates that their reviews tell."""

from typing import Annotated, Literal

from annotated_types import Ge, Le, Len
from typing_extensions import TypedDict

from shared.contract.batches import ModelRef
from shared.contract.fields import About, OneOf, Time, closed
from shared.contract.rates import RatePayload

GROUPINGS = ("model", "line", "day")
DEFAULT_WINDOW_S, LONGEST_WINDOW_S = 30 * 86_400.0, 366 * 86_400.0


@closed
class AgreementQuery(TypedDict, total=False):
    window: Annotated[
        float,
        Ge(60),
        Le(LONGEST_WINDOW_S),
        About("batches that were created in so many seconds before now", default=DEFAULT_WINDOW_S),
    ]
    by: Annotated[
        list[Annotated[str, OneOf(GROUPINGS)]],
        Len(1, len(GROUPINGS)),
        About(
            "a group for each model version, production line or day (UTC), comma-separated; else one group"
        ),
    ]


class ItemsByVerdict(TypedDict):
    """How many items have each verdict."""

    defect: int
    no_defect: int
    review: int


class PersonsCounts(TypedDict):
    """How many items persons gave each verdict."""

    defect: int
    no_defect: int


class ReviewedCounts(TypedDict):
    """The persons' verdicts by the model's, on items of the queue; those that a person chose do not count."""

    defect: PersonsCounts
    no_defect: PersonsCounts
    review: PersonsCounts


class SecondOpinions(TypedDict):
    """Items on which two persons gave an opinion, the second without seeing the first."""

    items: int
    agreed: int
    kappa: Annotated[
        float | None, About("Cohen's kappa: agreement beyond chance; null where it is undefined")
    ]


class AgreementGroup(TypedDict):
    """The figures of one group; `model`, `line` and `day` are null where the groups do not go by them."""

    model: ModelRef | None
    line: Annotated[str | None, About("the production line; null also for batches without one")]
    day: Annotated[str | None, About("in UTC", examples=["2026-11-24"])]
    items: Annotated[ItemsByVerdict, About("by the model's verdict")]
    reviewed: ReviewedCounts
    agreed: Annotated[
        float | None,
        About("the share of reviewed items, of those that the model decided, on which persons said the same"),
    ]
    second_opinions: SecondOpinions
    escape_rate: Annotated[RatePayload, About("the share of the defects that the model let pass")]
    false_reject_rate: Annotated[RatePayload, About("the share of the good items that the model refused")]


class AgreementPayload(TypedDict):
    """Agreement of the model with persons, and rates estimated from the audit's sample."""

    object: Literal["agreement"]
    window: float
    since: Time
    groups: list[AgreementGroup]
