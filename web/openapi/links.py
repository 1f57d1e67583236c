"""Links of the document: the operations that take the id which an answer gives."""

from collections.abc import Iterable

from werkzeug.routing import Rule

from shared.contract.batches import BatchPayload
from shared.contract.deliveries import DeliveryPayload
from shared.contract.item_pages import ItemPage
from shared.contract.items import ItemPayload
from shared.contract.keys import ApiKeyPayload
from shared.contract.model_versions import ModelPayload
from shared.contract.pages import Page
from shared.contract.parts import PartPayload
from shared.contract.webhook_endpoints import EndpointPayload
from web.openapi.schemas import Schema

# The path parameter that names what an answer shows, and where the answer has its id. A list of keys has no link:
# the first key may be the one that asks, and revoking it would lock the client out.
_IDS: dict[object, tuple[str, str]] = {
    BatchPayload: ("batch_id", "/id"),
    Page[BatchPayload]: ("batch_id", "/data/0/id"),
    ItemPayload: ("item_id", "/id"),
    ItemPage: ("item_id", "/data/0/id"),
    Page[PartPayload]: ("batch_id", "/data/0/batch_id"),
    ModelPayload: ("model_id", "/id"),
    Page[ModelPayload]: ("model_id", "/data/0/id"),
    ApiKeyPayload: ("key_id", "/id"),
    EndpointPayload: ("endpoint_id", "/id"),
    Page[EndpointPayload]: ("endpoint_id", "/data/0/id"),
    DeliveryPayload: ("delivery_id", "/id"),
    Page[DeliveryPayload]: ("delivery_id", "/data/0/id"),
}


def links(kind: object, rules: Iterable[Rule]) -> Schema:
    """A link for each route whose one path parameter is the id of this kind of answer."""
    try:
        name, pointer = _IDS[kind]
    except (KeyError, TypeError):
        return {}
    operations = [rule.endpoint.partition(".")[2] for rule in rules if rule.arguments == {name}]
    parameters = {f"path.{name}": f"$response.body#{pointer}"}
    return {each: {"operationId": each, "parameters": parameters} for each in sorted(set(operations))}
