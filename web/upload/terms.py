"""The terms of a batch: the client's options, completed by the model and the settings."""

from typing import cast

from shared.contract.operating_point import InvalidOperatingPoint, OperatingPoint
from shared.contract.options import LABELS, Options
from shared.lifecycle.uploads import Terms
from shared.registry.versions import ModelPoint
from shared.settings import Settings
from web.upload.options import webhook_of


def terms_of(options: Options, model: ModelPoint, settings: Settings) -> Terms:
    """The model's operating point and the settings' retention count as far as the options give no other.

    Raises InvalidOperatingPoint if a part that the options give does not fit the model's other part.
    """
    asked, retention = options.get("operating_point") or {}, options.get("retention")
    point = OperatingPoint(model.threshold, model.review_low, model.review_high)
    try:
        point = point.changed(asked.get("threshold"), asked.get("review_band"))
    except InvalidOperatingPoint as error:
        error.pointer = "/options/operating_point"
        raise
    return Terms(
        lane=options["priority"],
        model_id=model.id,
        point=point,
        retention_s=settings.retention_s if retention is None else retention,
        deadline_s=options.get("deadline"),
        on_error=options["on_error"],
        webhook=webhook_of(options),
        metadata=options["metadata"],
        name=options.get("name"),
        part_rule=options["part_rule"],
        expected_views=options.get("expected_views"),
        labels={label: cast("str | None", options.get(label)) for label in LABELS},
        guarded=model.guarded,
    )
