"""Results: items, parts, and the result file as it is streamed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from shared.client.calls import get, pages
from shared.client.going_on import Cut, ResultsFile, Stream, is_running, rows
from shared.client.places import identifier, with_query
from shared.client.transport import Transport

if TYPE_CHECKING:
    from shared.contract.items import ItemPayload
    from shared.contract.parts import PartPayload

_LINE_END = b"\n"


class Results:
    """Read verdicts."""

    _wire: Transport

    def items(self, batch_id: str, **filters: object) -> Iterator[ItemPayload]:
        """Every item of a batch, page by page; filters as in the API (status, verdict, sort, limit, …)."""
        path = f"/v1/batches/{identifier(batch_id)}/items"
        return pages(self._wire, path, {"limit": 1000, **filters})

    def item(self, item_id: str) -> ItemPayload:
        """The item with its evidence and links."""
        return cast("ItemPayload", get(self._wire, f"/v1/items/{identifier(item_id)}"))

    def thumbnail(self, item_id: str) -> bytes:
        """A small JPEG of an item, which a worker draws at the first request."""
        return self._drawing(item_id, "thumbnail", "image/jpeg")

    def image(self, item_id: str) -> bytes:
        """The whole image of an item as a JPEG, which a worker draws at the first request."""
        return self._drawing(item_id, "image", "image/jpeg")

    def heatmap(self, item_id: str) -> bytes:
        """A transparent PNG to lay over the image: the redder, the more a place speaks for a defect."""
        return self._drawing(item_id, "heatmap", "image/png")

    def _drawing(self, item_id: str, kind: str, media_type: str) -> bytes:
        path = f"/v1/items/{identifier(item_id)}/{kind}"
        return self._wire.call("GET", path, headers={"Accept": media_type}, hold_s=15.0).data

    def parts(self, batch_id: str | None = None, **filters: object) -> Iterator[PartPayload]:
        """The parts of a batch, or those of all batches; filters as in the API (part_id, lot, order, verdict, …)."""
        path = "/v1/parts" if batch_id is None else f"/v1/batches/{identifier(batch_id)}/parts"
        return pages(self._wire, path, {"limit": 200, **filters})

    def results(self, batch_id: str, format: str = "ndjson", **asked: Any) -> Iterator[bytes]:
        """The result file line by line, without line ends, for ndjson and csv; `asked` as for `results_file`.

        Raises ResultsCut where the file breaks off before its end.
        """
        rest = b""
        with self.results_file(batch_id, format, **asked) as file:
            for block in file.blocks:
                lines = (rest + block).split(b"\n")
                rest = lines.pop()
                yield from (line.removesuffix(b"\r") for line in lines)
        if rest:
            yield rest

    @contextlib.contextmanager
    def results_file(
        self, batch_id: str, format: str = "ndjson", *, cut: Cut | None = None, **asked: Any
    ) -> Iterator[ResultsFile]:
        """The result file in blocks, and whether the batch still runs; `asked` is the rest of the query (verdict, …).

        A file of rows, ndjson or csv, goes on by itself after a connection that broke: `cut(rows)` is called,
        and no row comes twice. A parquet file ends with ResultsCut.
        """
        path = f"/v1/batches/{identifier(batch_id)}/results"

        def open_(after: str | None) -> contextlib.AbstractContextManager[Stream]:
            query = {"format": format, **asked} | ({"after": after} if after else {})
            return self._wire.stream(with_query(path, **query), {"Accept": "*/*"})

        with open_(None) as first:
            file = ResultsFile(is_running(first[0]), first[1])
            if format != "parquet":
                file.blocks = rows(file, first, open_, cut)
            yield file
