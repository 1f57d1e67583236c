"""A tenant's quotas as the contract shows them, and the bounds that an operator may set."""

from typing import Annotated, Literal

from annotated_types import Ge, Le
from typing_extensions import TypedDict

from shared.contract.fields import WHOLE, About, closed

_MOST = 2**62
_Count = Annotated[int, Ge(0), Le(_MOST), WHOLE]


class QuotaUse(TypedDict):
    stored_bytes: int
    stored_items: int
    open_items: int
    open_bytes: int


class QuotaBounds(TypedDict):
    stored_bytes: Annotated[int, About("bytes of the images of all batches that are kept; 0: no bound")]
    stored_items: Annotated[int, About("items of all batches that are kept; 0: no bound")]
    retention_s: Annotated[float, About("the longest retention that a submission may ask for; 0: no bound")]
    open_items: Annotated[int, About("items without a verdict or an error; 0: no bound")]
    open_bytes: Annotated[int, About("bytes of the images of open items; 0: no bound")]


class QuotasPayload(TypedDict):
    object: Literal["quotas"]
    tenant: str
    used: QuotaUse
    bounds: QuotaBounds
    own: Annotated[
        list[str], About("the bounds that are set for this tenant; the others are the installation's")
    ]


@closed
class QuotaChange(TypedDict, total=False):
    stored_bytes: Annotated[_Count | None, About("0: no bound; null: the installation's", examples=[10**12])]
    stored_items: Annotated[_Count | None, About("0: no bound; null: the installation's", examples=[10**7])]
    retention_s: Annotated[
        Annotated[float, Ge(0), Le(10**11)] | None,
        About("0: no bound; null: the installation's", examples=[2592000]),
    ]
    open_items: Annotated[_Count | None, About("0: no bound; null: the installation's", examples=[1000000])]
    open_bytes: Annotated[_Count | None, About("0: no bound; null: the installation's", examples=[10**11])]
