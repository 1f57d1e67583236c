"""An image while its bytes arrive: its size limit, its hash, and the item that it becomes."""

import hashlib

from shared.errors import ItemErrorCode
from shared.lifecycle.received import ReceivedItem


class IncomingImage:
    """Takes the bytes of one image. A refused image keeps its place in the batch and fails alone."""

    def __init__(self, filename: str, offset: int, max_bytes: int) -> None:
        self.filename, self.offset = filename, offset
        self.length = 0
        self.error: tuple[ItemErrorCode, str] | None = None
        self._max_bytes, self._hash = max_bytes, hashlib.sha256()

    def take(self, data: bytes | memoryview) -> bool:
        """Count and hash the next bytes; False if they must not be kept, since the image was or is now refused."""
        if self.error is not None:
            return False
        self.length += len(data)
        if self.length > self._max_bytes:
            self.refuse("too_large", f"an image may have {self._max_bytes} bytes")
            return False
        self._hash.update(data)
        return True

    def refuse(self, code: ItemErrorCode, detail: str) -> None:
        """Fail this image's item; the caller removes the bytes that were kept."""
        self.error, self.length = (code, detail), 0

    def end(self, seq: int) -> ReceivedItem:
        """The item at place `seq` of its batch."""
        if self.error is None and self.length == 0:
            self.refuse("corrupt_image", "the file is empty")
        digest = self._hash.hexdigest() if self.length else None
        return ReceivedItem(seq, self.filename, digest, self.offset, self.length, self.error)
