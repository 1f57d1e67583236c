"""The artifact: a zip file that holds everything that a verdict depends on.

Members: `model.onnx` (served on CPUs), `model.safetensors` (the same weights for torch), `card.json` (metrics and
data, for people), and, where the artifact has them, `guard.npz` (how its images look, shared.vision.guard),
`self_test.npz` (images with their logits, shared.vision.known_logits) and `training_curves.png`. `manifest.json` holds
the numbers that a worker needs and the sha256 of every other member. The file is written with fixed times and without
compression, so that the same model gives the same bytes and the same sha256, which identifies a model version.
"""

import hashlib
import io
import json
import math
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shared.contract.operating_point import InvalidOperatingPoint, OperatingPoint
from shared.errors import ArtifactError

FORMAT = "gonogo-artifact/1"
MANIFEST = "manifest.json"
ONNX = "model.onnx"
WEIGHTS = "model.safetensors"
CARD = "card.json"
CURVES = "training_curves.png"
GUARD = "guard.npz"
SELF_TEST = "self_test.npz"
MAX_MEMBER_BYTES = 512 * 1024 * 1024
MAX_SIDE = 4096
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Preprocessing:
    """The form of an image before the network: `height` x `width` pixels, 1 (grey) or 3 (RGB) channels.

    `full_scale` is the value that means white in images of more than 8 bits; None refuses such images.
    """

    width: int
    height: int
    channels: int
    full_scale: int | None = None


@dataclass(frozen=True)
class Calibration:
    """score = sigmoid(scale * logit + offset), fitted on the validation part."""

    scale: float
    offset: float


@dataclass(frozen=True)
class Artifact:
    """An artifact whose manifest was read and checked; members are read and hash-checked on call."""

    path: Path
    sha256: str
    name: str
    preprocessing: Preprocessing
    calibration: Calibration
    operating_point: OperatingPoint
    card: dict[str, Any]
    members: dict[str, str]

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

    def _member(self, name: str) -> bytes:
        try:
            with zipfile.ZipFile(self.path) as archive:
                return _checked(archive, name, self.members[name])
        except (ArtifactError, MemoryError):
            raise
        except Exception as error:  # zipfile raises nearly every built-in error on broken files
            raise ArtifactError(f"{self.path.name}: {name} cannot be read: {error}") from error


def read_artifact(path: Path) -> Artifact:
    """Read the manifest and check every member's hash. Raises ArtifactError when missing or corrupt."""
    try:
        file_sha256 = _file_sha256(path)
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(_bounded(archive, MANIFEST))
            if manifest["format"] != FORMAT:
                raise ArtifactError(f"{path.name}: unknown artifact format {manifest['format']!r}")
            members = {str(name): str(digest) for name, digest in manifest["members"].items()}
            for required in (ONNX, WEIGHTS, CARD):
                if required not in members:
                    raise ArtifactError(f"{path.name}: no {required} in it")
            for named, member in (("guard", GUARD), ("self_test", SELF_TEST)):
                entry = manifest.get(named)
                told = entry["member"] if isinstance(entry, dict) else entry
                if told is not None and (told != member or member not in members):
                    raise ArtifactError(
                        f"{path.name}: no {member} in it, which the manifest names as its {named}"
                    )
            contents = {name: _checked(archive, name, digest) for name, digest in members.items()}
        card = json.loads(contents[CARD])
        if not isinstance(card, dict):
            raise ArtifactError(f"{path.name}: {CARD} is no object")
        artifact = Artifact(
            path=path,
            sha256=file_sha256,
            name=str(manifest["name"]),
            preprocessing=Preprocessing(**manifest["preprocessing"]),
            calibration=Calibration(**manifest["calibration"]),
            operating_point=OperatingPoint(**manifest["operating_point"]),
            card=card,
            members=members,
        )
    except InvalidOperatingPoint as error:
        raise ArtifactError(f"{path.name}: the operating point is unusable: {error}") from error
    except (ArtifactError, MemoryError):
        raise
    except Exception as error:  # zipfile raises nearly every built-in error on broken files
        raise ArtifactError(f"{path.name} is no usable artifact: {error}") from error
    _check_numbers(artifact)
    return artifact


def write_artifact(
    path: Path,
    *,
    name: str,
    onnx: bytes,
    weights: bytes,
    preprocessing: Preprocessing,
    calibration: Calibration,
    operating_point: OperatingPoint,
    card: dict[str, Any],
    curves_png: bytes | None = None,
    guard: bytes | None = None,
    self_test: bytes | None = None,
) -> Artifact:
    """Write the artifact whole or not at all, then read it back as any reader would."""
    contents = {ONNX: onnx, WEIGHTS: weights, CARD: _json(card)}
    optional = {CURVES: curves_png, GUARD: guard, SELF_TEST: self_test}
    contents |= {member: data for member, data in optional.items() if data is not None}
    manifest = {
        "format": FORMAT,
        "name": name,
        "preprocessing": asdict(preprocessing),
        "calibration": asdict(calibration),
        "operating_point": asdict(operating_point),
        "guard": {"member": GUARD} if guard is not None else None,
        "self_test": {"member": SELF_TEST} if self_test is not None else None,
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


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bounded(archive: zipfile.ZipFile, name: str) -> bytes:
    # The size in the zip's directory may lie: what counts is what comes out.
    with archive.open(name) as member:
        data = member.read(MAX_MEMBER_BYTES + 1)
    if len(data) > MAX_MEMBER_BYTES:
        raise ArtifactError(f"{name} holds more than {MAX_MEMBER_BYTES} bytes")
    return data


def _checked(archive: zipfile.ZipFile, name: str, digest: str) -> bytes:
    data = _bounded(archive, name)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ArtifactError(f"{name} is not what the manifest says: its sha256 differs")
    return data


def _check_numbers(artifact: Artifact) -> None:
    spec = artifact.preprocessing
    sides_fit = all(isinstance(side, int) and 1 <= side <= MAX_SIDE for side in (spec.width, spec.height))
    if not sides_fit or spec.channels not in (1, 3):
        raise ArtifactError(f"{artifact.path.name}: preprocessing is unusable: {spec}")
    if spec.full_scale is not None and not (isinstance(spec.full_scale, int) and spec.full_scale > 0):
        raise ArtifactError(f"{artifact.path.name}: full_scale is unusable: {spec.full_scale}")
    if not (math.isfinite(artifact.calibration.scale) and math.isfinite(artifact.calibration.offset)):
        raise ArtifactError(f"{artifact.path.name}: calibration is unusable: {artifact.calibration}")
