"""Artifacts that lie: whole by their hashes, yet with a network, a self-test or a name that is not what it says."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Members = dict[str, bytes]


def forge(source: Path, target: Path, change: Callable[[dict[str, Any], Members], None]) -> Path:
    """Copy an artifact after `change` has had its manifest and members; hashes are put right afterwards."""
    with zipfile.ZipFile(source) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(contents.pop("manifest.json"))
    change(manifest, contents)
    manifest["members"] = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, data in contents.items():
            archive.writestr(name, data)
    return target


def renamed(name: str) -> Callable[[dict[str, Any], Members], None]:
    """Another name."""

    def change(manifest: dict[str, Any], members: Members) -> None:
        manifest["name"] = name

    return change


def rubbish_network(manifest: dict[str, Any], members: Members) -> None:
    """Bytes that are no network."""
    members["model.onnx"] = b"rubbish" * 1000


def with_self_test(
    logits: Callable[[Any], Any] = lambda true: true, *, seed: int = 3
) -> Callable[[dict[str, Any], Members], None]:
    """A self-test of eight images; `logits` turns the network's true logits into those that the artifact claims."""

    def change(manifest: dict[str, Any], members: Members) -> None:
        import onnxruntime

        spec = manifest["preprocessing"]
        shape = (8, spec["height"], spec["width"], spec["channels"])
        images = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        session = onnxruntime.InferenceSession(members["model.onnx"], providers=["CPUExecutionProvider"])
        [true] = session.run(["logit"], {"images": images})
        buffer = io.BytesIO()
        np.savez(buffer, images=images, logits=np.asarray(logits(true), np.float32))
        members["self_test.npz"] = buffer.getvalue()
        manifest["self_test"] = "self_test.npz"

    return change
