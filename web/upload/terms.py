"""The terms of a batch: the client's options, completed by the model and the settings."""

import math
from typing import cast

from shared.contract.operating_point import InvalidOperatingPoint, OperatingPoint
from shared.contract.options import LABELS, Options
from shared.contract.problems import ErrorEntry
from shared.lifecycle.received import Terms
from shared.registry.versions import ModelPoint
from shared.settings import Settings
from web.http.problems import HttpProblem
from web.upload.options import webhook_of


def check_retention(options: Options, longest_s: float) -> None:
    """Raise 422 if the options ask for a longer retention than the tenant may have; 0 bounds nothing."""
    asked = options.get("retention")
    if asked is not None and 0 < longest_s < asked:
        # Not 429: to wait and send it again would not help.
        why = (
            f"the quota `retention_s` of this tenant is {longest_s:g} s and this asks for {asked:g} s: ask for less, "
            "or ask the operator for a longer one"
        )
        entry = ErrorEntry(code="retention_over_quota", pointer="/options/retention", detail=why)
        raise HttpProblem(422, "retention_over_quota", why, errors=[entry])


def terms_of(options: Options, model: ModelPoint, settings: Settings, longest_s: float = 0.0) -> Terms:
    """The model's operating point and the settings' retention count as far as the options give no other.

    `longest_s` bounds the settings' retention, unless it is 0. Raises InvalidOperatingPoint if a part that the options
    give does not fit the model's other part.
    """
    asked, retention = options.get("operating_point") or {}, options.get("retention")
    own = OperatingPoint(model.threshold, model.review_low, model.review_high)
    try:
        point = own.changed(asked.get("threshold"), asked.get("review_band"))
    except InvalidOperatingPoint as error:
        error.pointer = "/options/operating_point"
        raise
    return Terms(
        lane=options["priority"],
        model_id=model.id,
        point=point,
        retention_s=min(settings.retention_s, longest_s or math.inf) if retention is None else retention,
        deadline_s=options.get("deadline"),
        on_error=options["on_error"],
        webhook=webhook_of(options),
        metadata=options["metadata"],
        name=options.get("name"),
        part_rule=options["part_rule"],
        expected_views=options.get("expected_views"),
        labels={label: cast("str | None", options.get(label)) for label in LABELS},
        guarded=model.guarded,
        promised=model.promised if point == own else None,
    )
