"""A page of the items of a batch."""

from typing import Annotated, NotRequired

from shared.contract.batches import DraftPayload
from shared.contract.fields import About
from shared.contract.items import ItemPayload
from shared.contract.pages import Page


class ItemPage(Page[ItemPayload]):
    """A page of the items of a batch."""

    draft: NotRequired[Annotated[DraftPayload, About("of a draft only: which parts have arrived")]]
