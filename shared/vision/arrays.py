"""Arrays as bytes inside an artifact, in numpy's npz format."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shared.errors import ArtifactError

Array: TypeAlias = NDArray[Any]  # of any numbers
Arrays: TypeAlias = dict[str, Array]
_MAX_BYTES = 64 * 2**20
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """Like numpy.savez, but with fixed times: the same arrays give the same bytes, and so the same sha256."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _ZIP_EPOCH), member.getvalue())
    return buffer.getvalue()


def read_npz(data: bytes, names: Sequence[str], optional: Sequence[str] = ()) -> Arrays:
    """The named arrays, and those of `optional` that are there.

    Raises ArtifactError where one of `names` is missing, or one is damaged, compressed or no plain array.

    Compressed members are refused, since a few of their bytes may stand for any number.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
        if len(data) > _MAX_BYTES or any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ArtifactError(f"arrays must be stored uncompressed, in at most {_MAX_BYTES} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            there = [name for name in optional if name in archive.files]
            return {name: archive[name] for name in (*names, *there)}
    except ArtifactError:
        raise
    except Exception as error:  # numpy raises nearly every built-in error on broken files
        raise ArtifactError(f"the arrays cannot be read: {type(error).__name__}: {error}") from error
