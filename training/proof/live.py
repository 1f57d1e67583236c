"""Ask a running service for the verdicts that `evaluate` reckoned, and compare them one by one."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.client.client import Client
from shared.errors import ItemError
from shared.registry.artifact import Artifact
from training.data.records import Record
from training.proof.evaluate import Outcome

_ENDS_WITHIN_S = 600.0


@dataclass(frozen=True)
class Comparison:
    """How many images the service was asked for, on how many it says otherwise, and by how much a score differs."""

    pictures: int
    different: int
    score_difference: float


def compare(
    artifact: Artifact,
    records: Sequence[Record],
    outcomes: Sequence[Outcome],
    *,
    url: str,
    key: str | None,
) -> Comparison:
    """Submit the records to the service's published version of this very artifact.

    Same means: the verdict, or the error's code, by a model of the same sha256. Raises ValueError where the service
    does not hold the artifact, and the client's errors.
    """
    with Client(url, key, timeout_s=_ENDS_WITHIN_S) as client:
        known = [model for model in client.models() if model["sha256"] == artifact.sha256]
        if not known:
            raise ValueError(
                f"{url} does not hold {artifact.name} with sha256 {artifact.sha256}: publish it first"
            )
        sources = [
            (f"{place:08d}{record.path.suffix}", record.path.read_bytes())
            for place, record in enumerate(records)
        ]
        batch = client.submit(sources, {"model": known[0]["id"]})
        client.wait(batch["id"], timeout_s=_ENDS_WITHIN_S)
        items = {int(str(item["filename"]).partition(".")[0]): item for item in client.items(batch["id"])}
    different, furthest = 0, 0.0
    for place, outcome in enumerate(outcomes):
        item = items[place]
        if isinstance(outcome, ItemError):
            different += item["error"] is None or item["error"]["code"] != outcome.code
            continue
        different += (
            item["verdict"] != outcome.verdict(artifact.operating_point)
            or item["model_sha256"] != artifact.sha256
        )
        furthest = max(furthest, abs((item["score"] if item["score"] is not None else 2.0) - outcome.score))
    return Comparison(len(outcomes), different, furthest)
