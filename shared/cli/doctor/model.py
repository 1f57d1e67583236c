"""The models that are shipped with gonogo."""

from collections.abc import Iterator
from pathlib import Path

from shared.cli.doctor.findings import Finding
from shared.registry.artifact import read_artifact


def shipped() -> Iterator[Finding]:
    """Load each shipped artifact and run its network once in this machine's ONNX Runtime."""
    import numpy
    import onnxruntime

    shipped = sorted((Path(__file__).parents[2] / "registry" / "published").glob("*/*.gonogo"))
    if not shipped:
        yield Finding("model", "problem", "no model is shipped with this installation", "install it again")
    for path in shipped:
        try:
            artifact = read_artifact(path)
            engine = onnxruntime.InferenceSession(artifact.onnx(), providers=["CPUExecutionProvider"])
            size = artifact.preprocessing
            image = numpy.zeros((1, size.height, size.width, size.channels), dtype=numpy.uint8)
            engine.run(["logit"], {"images": image})
        except Exception as error:
            said = str(error).split("\n", maxsplit=1)[0]
            yield Finding("model", "problem", f"{path.name} does not load: {said}", "install gonogo again")
        else:
            detail = f"{artifact.name} {artifact.sha256[:12]} runs (onnxruntime {onnxruntime.__version__})"
            yield Finding("model", "ok", detail)
