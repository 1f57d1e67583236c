"""The artifact: a zip file that holds everything that a verdict depends on.

Members: `model.onnx` (served on CPUs), `model.safetensors` (the same weights for torch), `card.json` (metrics and
data, for people), and, where the artifact has them, `guard.npz` (how its images look, shared.vision.guard),
`self_test.npz` (images with their logits, shared.vision.known_logits), `kinds.npz` (the guess of a defect's kind,
shared.vision.kinds) and `training_curves.png`. `manifest.json` holds
the numbers that a worker needs and the sha256 of every other member. The file is written with fixed times and without
compression, so that the same model gives the same bytes and the same sha256, which identifies a model version.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from shared import json_text
from shared.contract.kinds import MOST_KINDS, is_kind
from shared.contract.operating_point import InvalidOperatingPoint, OperatingPoint
from shared.errors import ArtifactError
from shared.json_text import Card
from shared.registry import strict

FORMAT = "gonogo-artifact/1"
MANIFEST = "manifest.json"
ONNX = "model.onnx"
WEIGHTS = "model.safetensors"
CARD = "card.json"
CURVES = "training_curves.png"
GUARD = "guard.npz"
SELF_TEST = "self_test.npz"
KINDS = "kinds.npz"
MAX_SIDE = 4096
MAX_FULL_SCALE = 2**32 - 1
MAX_CALIBRATION = 1000.0  # trained scales lie near 1 and offsets near 0
CARD_LEVELS = 64
NEWEST_PREPROCESSING = 2
_MANIFEST_KEYS = ("format", "name", "preprocessing", "calibration", "operating_point", "members")
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Preprocessing:
    """The form of an image before the network: `height` x `width` pixels, 1 (grey) or 3 (RGB) channels.

    `full_scale` is the value that means white in images of more than 8 bits; None refuses such images. `version` is
    the rule by which an image is brought to this size (docs/images.md); artifacts that name none have version 1.
    """

    width: int
    height: int
    channels: int
    full_scale: int | None = None
    version: int = 1

    @property
    def sha256(self) -> str:
        """Names the rule: equal for equal rules, in hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Calibration:
    """score = sigmoid(scale * logit + offset), fitted on the validation part."""

    scale: float
    offset: float


@dataclass(frozen=True)
class Promise:
    """The operating point lets at most `max_escape_rate` of the defective parts pass, at this confidence, as long as
    images look like those of the validation part."""

    max_escape_rate: float
    confidence: float


@dataclass(frozen=True)
class Artifact:
    """An artifact whose manifest was read and checked; members are read and hash-checked on call."""

    path: Path
    sha256: str
    name: str
    preprocessing: Preprocessing
    calibration: Calibration
    operating_point: OperatingPoint
    card: Card
    members: dict[str, str]
    promise: Promise | None = None
    kinds: tuple[str, ...] = ()

    def onnx(self) -> bytes:
        """The ONNX graph. Raises ArtifactError where the bytes are not those the manifest names."""
        return self._member(ONNX)

    def weights(self) -> bytes:
        """The safetensors weights. Raises ArtifactError as `onnx` does."""
        return self._member(WEIGHTS)

    def curves(self) -> bytes | None:
        """The training curves as PNG, or None where the artifact carries none."""
        return self._member(CURVES) if CURVES in self.members else None

    @property
    def guarded(self) -> bool:
        """Whether the artifact knows how its images look."""
        return GUARD in self.members

    def guard(self) -> bytes | None:
        """The guard's parameters for shared.vision.guard.read_guard, or None where the artifact carries none."""
        return self._member(GUARD) if GUARD in self.members else None

    def self_test(self) -> bytes | None:
        """Images and logits for shared.vision.known_logits.read_self_test, or None where the artifact carries none."""
        return self._member(SELF_TEST) if SELF_TEST in self.members else None

    def kinds_layer(self) -> bytes | None:
        """The layer for shared.vision.kinds.read_kinds, or None where the artifact knows no `kinds`."""
        return self._member(KINDS) if self.kinds else None

    def _member(self, name: str) -> bytes:
        with strict.opened(self.path) as archive:
            return strict.checked(archive, name, self.members[name])


def read_artifact(path: Path) -> Artifact:
    """Read the manifest and the card, and check every member's hash.

    The manifest and the zip file are closed: only known members are allowed. Raises ArtifactError where the file is
    missing, corrupt, or holds values that cannot be served.
    """
    with strict.opened(path) as archive:
        manifest = strict.read_json(archive, MANIFEST, levels=json_text.MAX_LEVELS)
        if manifest.get("format") != FORMAT:
            raise ArtifactError(f"{MANIFEST}: format must be {FORMAT}")
        strict.closed(manifest, MANIFEST, _MANIFEST_KEYS, ("guard", "self_test", "promise", "kinds"))
        members = _members(manifest, archive.namelist())
        for name, digest in members.items():
            strict.check_digest(archive, name, digest)
        card = strict.read_json(archive, CARD, levels=CARD_LEVELS)
    return Artifact(
        path=path,
        sha256=file_sha256(path),
        name=strict.text(manifest["name"], f"{MANIFEST}: name"),
        preprocessing=_preprocessing(manifest["preprocessing"]),
        calibration=_calibration(manifest["calibration"]),
        operating_point=_operating_point(manifest["operating_point"]),
        card=card,
        members=members,
        promise=_promise(manifest.get("promise")),
        kinds=_kinds(manifest.get("kinds"), members),
    )


def write_artifact(
    path: Path,
    *,
    name: str,
    onnx: bytes,
    weights: bytes,
    preprocessing: Preprocessing,
    calibration: Calibration,
    operating_point: OperatingPoint,
    card: Card,
    curves_png: bytes | None = None,
    guard: bytes | None = None,
    self_test: bytes | None = None,
    promise: Promise | None = None,
    kinds: tuple[tuple[str, ...], bytes] | None = None,
) -> Artifact:
    """Write the artifact whole or not at all, then read it back as any reader would. `kinds` are names and layer."""
    contents = {ONNX: onnx, WEIGHTS: weights, CARD: _json(card)}
    optional = {CURVES: curves_png, GUARD: guard, SELF_TEST: self_test, KINDS: kinds[1] if kinds else None}
    contents |= {member: data for member, data in optional.items() if data is not None}
    manifest = {
        "format": FORMAT,
        "name": name,
        "preprocessing": asdict(preprocessing),
        "calibration": asdict(calibration),
        "operating_point": asdict(operating_point),
        "guard": {"member": GUARD} if guard is not None else None,
        "self_test": {"member": SELF_TEST} if self_test is not None else None,
        # Older programs refuse keys that they do not know, so these are there only where they say something.
        **({"promise": asdict(promise)} if promise is not None else {}),
        **({"kinds": {"member": KINDS, "names": list(kinds[0])}} if kinds is not None else {}),
        "members": {member: hashlib.sha256(data).hexdigest() for member, data in contents.items()},
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for member, data in {MANIFEST: _json(manifest), **contents}.items():
            archive.writestr(zipfile.ZipInfo(member, _ZIP_EPOCH), data)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_bytes(buffer.getvalue())
    unfinished.replace(path)
    return read_artifact(path)


def _json(value: Mapping[str, object]) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def file_sha256(path: Path) -> str:
    """By which an artifact is named."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _members(manifest: dict[str, object], found: list[str]) -> dict[str, str]:
    """The sha256 of each member, after a check that the zip file holds these members once, and no others."""
    where = f"{MANIFEST}: members"
    members = strict.closed(
        manifest["members"], where, (ONNX, WEIGHTS, CARD), (CURVES, GUARD, SELF_TEST, KINDS)
    )
    digests = {name: strict.text(digest, f"{where}.{name}") for name, digest in members.items()}
    for named, member in (("guard", GUARD), ("self_test", SELF_TEST)):
        entry = manifest.get(named)
        if isinstance(entry, dict):
            entry = strict.closed(entry, f"{MANIFEST}: {named}", ("member",))["member"]
        if entry is not None and (entry != member or member not in members):
            raise ArtifactError(f"{MANIFEST}: {named} must name {member}, a member of the artifact")
    for name in found:
        if name != MANIFEST and name not in members:
            raise ArtifactError(f"{name[:100]!r} is in the zip file, but not in the manifest's members")
    if len(set(found)) < len(found):
        raise ArtifactError("the zip file holds a member twice")
    return digests


def _promise(value: object) -> Promise | None:
    if value is None:
        return None
    where = f"{MANIFEST}: promise"
    stated = strict.closed(value, where, ("max_escape_rate", "confidence"))
    return Promise(
        max_escape_rate=strict.number(stated["max_escape_rate"], f"{where}.max_escape_rate", 0, 1),
        confidence=strict.number(stated["confidence"], f"{where}.confidence", 0, 1),
    )


def _kinds(value: object, members: dict[str, str]) -> tuple[str, ...]:
    """The names of the kinds, in the order of the layer's columns; empty where the artifact knows none."""
    where = f"{MANIFEST}: kinds"
    if (value is None) != (KINDS not in members):
        raise ArtifactError(f"{where} and the member {KINDS} need each other")
    if value is None:
        return ()
    entry = strict.closed(value, where, ("member", "names"))
    names = entry["names"]
    if entry["member"] != KINDS:
        raise ArtifactError(f"{where}.member must be {KINDS}")
    if not isinstance(names, list) or not 2 <= len(names) <= MOST_KINDS or not all(map(is_kind, names)):
        raise ArtifactError(f"{where}.names must be 2 to {MOST_KINDS} printable names")
    if len(set(names)) < len(names):
        raise ArtifactError(f"{where}.names holds a name twice")
    return tuple(names)


def _preprocessing(value: object) -> Preprocessing:
    where = f"{MANIFEST}: preprocessing"
    spec = strict.closed(value, where, ("width", "height", "channels"), ("full_scale", "version"))
    full_scale = spec.get("full_scale")
    channels = strict.whole(spec["channels"], f"{where}.channels", 1, 3)
    if channels == 2:
        raise ArtifactError(f"{where}.channels must be 1 or 3")
    return Preprocessing(
        width=strict.whole(spec["width"], f"{where}.width", 1, MAX_SIDE),
        height=strict.whole(spec["height"], f"{where}.height", 1, MAX_SIDE),
        channels=channels,
        full_scale=None
        if full_scale is None
        else strict.whole(full_scale, f"{where}.full_scale", 1, MAX_FULL_SCALE),
        version=strict.whole(spec.get("version", 1), f"{where}.version", 1, NEWEST_PREPROCESSING),
    )


def _calibration(value: object) -> Calibration:
    """A scale of 0 gives every image one score, and a negative one turns each verdict round."""
    where = f"{MANIFEST}: calibration"
    fitted = strict.closed(value, where, ("scale", "offset"))
    return Calibration(
        scale=strict.number(fitted["scale"], f"{where}.scale", 1 / MAX_CALIBRATION, MAX_CALIBRATION),
        offset=strict.number(fitted["offset"], f"{where}.offset", -MAX_CALIBRATION, MAX_CALIBRATION),
    )


def _operating_point(value: object) -> OperatingPoint:
    where = f"{MANIFEST}: the operating point"
    point = strict.closed(value, where, ("threshold", "review_low", "review_high"))
    shares = {key: strict.number(given, f"{where}'s {key}", 0, 1) for key, given in point.items()}
    try:
        return OperatingPoint(**shares)
    except InvalidOperatingPoint as error:
        raise ArtifactError(f"{where} is unusable: {error.detail}") from error
