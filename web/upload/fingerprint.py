"""The fingerprint of a submission: names, the sha256 of every image, manifest, options; not the multipart boundary."""

import hashlib
import json
from collections.abc import Mapping

from shared.lifecycle.received import ReceivedItem


class Fingerprint:
    """Grows by one image after the other, so that no list of them has to be kept."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, item: ReceivedItem) -> None:
        """The next image; its name's length keeps a name from passing for a name and a hash."""
        self._hash.update(f"{len(item.filename)}:{item.filename}:{item.sha256}\n".encode())

    def of(self, options: Mapping[str, object], manifest_sha256: str = "") -> str:
        """The fingerprint of the images so far with these options and this manifest."""
        whole = self._hash.copy()
        whole.update(manifest_sha256.encode())
        whole.update(json.dumps(options, sort_keys=True).encode())
        return whole.hexdigest()
