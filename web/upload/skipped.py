"""The files of an archive that become no item: counted, and the first of them named."""

from shared.contract.marks import BatchWarning
from shared.contract.problems import ErrorEntry
from shared.lifecycle.received import Notes

MAX_NAMED = 100
_IN_A_SENTENCE = 5


class Skipped:
    def __init__(self) -> None:
        self.count = 0
        self._named: list[tuple[str, str]] = []

    def add(self, filename: str, reason: str) -> None:
        self.count += 1
        if len(self._named) < MAX_NAMED:
            self._named.append((filename, reason))

    def notes(self) -> Notes:
        """For the batch's row. The list is bounded, `skipped` is not."""
        warnings = [
            BatchWarning(code="file_skipped", filename=filename, detail=reason)
            for filename, reason in self._named
        ]
        return Notes(self.count, warnings)

    def errors(self) -> list[ErrorEntry]:
        """For the answer to a submission without any image."""
        return [
            {"code": "file_skipped", "pointer": "/archive", "filename": filename, "detail": reason}
            for filename, reason in self._named
        ]

    def sentence(self) -> str:
        """Why a submission without any image is refused."""
        if not self.count:
            return "the request holds no image"
        some = ", ".join(f"{filename} ({reason})" for filename, reason in self._named[:_IN_A_SENTENCE])
        more = self.count - _IN_A_SENTENCE
        return f"the request holds no image; skipped: {some}" + (f", and {more} more" if more > 0 else "")
