"""A process whose memory is bounded refuses a costly image and goes on with the next one."""

import io
import subprocess
import sys

import pytest
from PIL import Image

CODE = """
import sys
import numpy
from shared.lifecycle.claims import ClaimedItem
from shared.registry.artifact import Preprocessing
from shared.vision.accepted import Limits
from worker.inference.decode import decode_item
from worker.inference.memory import bound_growth
spec, limits = Preprocessing(32, 32, 1), Limits(max_pixels=200_000_000)
paths = sys.argv[2:]
images = [open(path, "rb").read() for path in paths]
decode_item(ClaimedItem(0, 0, 0, None), images[0], spec, limits)  # libraries are loaded
bound_growth(int(sys.argv[1]))
for data in images:
    made = decode_item(ClaimedItem(0, 0, 0, None), data, spec, limits)
    print(getattr(made, "error_code", None) or "decoded")
"""


def decoded(tmp_path: object, bound: int) -> list[str]:
    paths = []
    for name, side in (("small", 64), ("large", 9000), ("next", 64)):
        buffer = io.BytesIO()
        Image.new("L", (side, side), 90).save(buffer, "PNG")
        paths.append(f"{tmp_path}/{name}.png")
        with open(paths[-1], "wb") as file:
            file.write(buffer.getvalue())
    argv = [sys.executable, "-c", CODE, str(bound), *paths]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts a process's data")
def test_an_image_beyond_the_bound_fails_alone(tmp_path: object) -> None:
    assert decoded(tmp_path, 40 * 2**20) == ["decoded", "too_costly", "decoded"]


def test_without_a_bound_the_same_image_is_decoded(tmp_path: object) -> None:
    assert decoded(tmp_path, 0) == ["decoded", "decoded", "decoded"]
