"""The models that a worker process has loaded: a few, the least recently used goes first."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from shared.blobs.store import BlobStore
from shared.contract.states import Network, Reason
from shared.errors import ArtifactError
from shared.lifecycle import judges
from shared.registry.artifact import Artifact, read_artifact
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.tables import ModelVersion
from shared.vision.drift import read_reference
from shared.vision.graph import OUTPUTS
from shared.vision.guard import Guard, guard_in
from shared.vision.kinds import Kinds, read_kinds
from worker.inference.engines.load import Engine, load_engine

_KEPT = 3
_TOGETHER, _TOGETHER_BYTES = 8, 2**24  # micro-batches that are predicted in one call, and their pixels
log = logging.getLogger(__name__)


class Prediction(NamedTuple):
    """A logit, and by the guard, if the model has one: why the image is unlike those of the model, and how far. `kind`
    is the kind of defect that it would most likely be, where the model knows kinds; `network` is which of a cascade's
    two networks judged."""

    logit: float
    unlike: tuple[Reason, ...] = ()
    unfamiliarity: float | None = None
    kind: str | None = None
    network: Network | None = None


@dataclass(frozen=True)
class LoadedModel:
    """`judges` are the ids of the judges, by network: of a model that is no cascade there is one, under None."""

    artifact: Artifact
    engine: Engine
    guard: Guard | None = None
    judges: Mapping[Network | None, int] = field(default_factory=dict)
    micro_batch: int = 32
    kinds: Kinds | None = None
    has_reference: bool = False  # from which drift is measured
    cascade: bool = False

    @property
    def first_network(self) -> Network | None:
        return Network.FAST if self.cascade else None

    @property
    def together(self) -> int:
        """The images to predict in one call: several micro-batches, since the guard has a cost of its own for each
        call, twice that of 32 small images."""
        spec = self.artifact.preprocessing
        fitting = _TOGETHER_BYTES // (spec.width * spec.height * spec.channels)
        return self.micro_batch * max(1, min(_TOGETHER, fitting // self.micro_batch))

    def predict(self, images: NDArray[np.uint8]) -> list[Prediction]:
        """Predictions for images (N, H, W, C), N >= 1. Raises MemoryError when they do not fit."""
        pieces = [images[at : at + self.micro_batch] for at in range(0, len(images), self.micro_batch)]
        if self.guard is None and self.kinds is None and not self.cascade:
            return [Prediction(float(logit)) for piece in pieces for logit in self.engine.predict(piece)]
        count = len(images)
        networks: list[Network | None] = [None] * count
        if self.cascade:
            # The graph gathers the unsure images itself: on a CPU in batches of at most 8, which take less time an
            # image than larger ones (docs/training.md), on a GPU in those of a micro-batch.
            every = [self.engine.explain(piece) for piece in pieces]
            logits, features, _, strong = (np.concatenate(parts) for parts in zip(*every, strict=True))
            networks = [Network.STRONG if here else Network.FAST for here in strong]
        else:
            seen = [self.engine.predict_with_features(piece) for piece in pieces]
            logits, features = (np.concatenate(parts) for parts in zip(*seen, strict=True))
        unlike, far = self.guard.measure(images, features) if self.guard else ([()] * count, [None] * count)
        kinds = self.kinds.likely(features) if self.kinds else [None] * count
        return list(map(Prediction, map(float, logits), unlike, far, kinds, networks))


class LoadedModels:
    """Loads a model version when it is first needed. Thread-safe."""

    def __init__(
        self, settings: Settings, database: Database, blobs: BlobStore, worker: str, *, kept: int = _KEPT
    ) -> None:
        """`worker` is the id of this process, which each judge bears; `kept` is the most models in memory."""
        self._settings, self._database, self._blobs, self._worker = settings, database, blobs, worker
        self._kept = kept
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()
        self._loading = threading.Lock()

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._models)

    @property
    def newest(self) -> LoadedModel:
        """The model used last; there must be one."""
        return next(reversed(self._models.values()))

    def get(self, model_id: str) -> LoadedModel:
        """A model ready to predict. Raises ArtifactError if its bytes are missing, or are not those of the row."""
        with self._loading:
            if model_id not in self._models:
                self._models[model_id] = self._load(model_id)
            self._models.move_to_end(model_id)
            while len(self._models) > self._kept:
                self._models.popitem(last=False)
            return self._models[model_id]

    def _load(self, model_id: str) -> LoadedModel:
        with self._database.read() as connection:
            sha256 = connection.scalar(select(ModelVersion.sha256).where(ModelVersion.id == model_id))
        artifact = read_artifact(self._blobs.artifact_path(str(sha256)))
        if artifact.sha256 != sha256:
            raise ArtifactError(f"the file of model {model_id} has another sha256 than when it was published")
        try:
            engine = load_engine(
                artifact,
                device=self._settings.device,  # type: ignore[arg-type] # checked by Settings
                threads=self._settings.engine_threads,
                reduced=self._settings.precision == "fp16",
            )
        except (RuntimeError, ImportError) as error:
            # The worker's fault, not the chunk's: it must not cost attempts until every item is poison.
            raise ArtifactError(f"no engine for model {model_id} here: {error}") from error
        log.info(
            "model %s (%s) on %s, %s, %d threads",
            artifact.name, sha256, engine.device, engine.name, engine.threads,
        )  # fmt: skip
        spec = artifact.preprocessing
        tried = engine.explain(np.zeros((1, spec.height, spec.width, spec.channels), np.uint8))
        width, cascade = int(tried[1].shape[1]), len(tried) > len(OUTPUTS)
        guard, kinds = guard_in(artifact, width), read_kinds(artifact, width)
        networks: tuple[Network | None, ...] = tuple(Network) if cascade else (None,)
        with self._database.write() as connection:
            ids = {
                network: judges.register(
                    connection,
                    worker=self._worker,
                    device=engine.device,
                    engine=engine.name,
                    model_sha256=artifact.sha256,
                    preprocessing_sha256=spec.sha256,
                    network=network,
                )
                for network in networks
            }
        return LoadedModel(
            artifact,
            engine,
            guard,
            ids,
            self._settings.micro_batch,
            kinds,
            has_reference=read_reference(artifact.card) is not None,
            cascade=cascade,
        )
