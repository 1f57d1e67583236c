"""A TCP proxy that cuts its links: each of the first links breaks after so many bytes from one side."""

import asyncio
import contextlib
import threading


class CuttingProxy:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target` in a thread.

    `cuts` has a number for each cut; a link that carries less is not cut, and leaves it to a later one. Bytes of the
    client count, or with `answers` those of the service.
    """

    def __init__(self, target: int, cuts: list[int], *, answers: bool = False) -> None:
        self._target, self._left, self._answers = target, list(cuts), answers
        self._loop = asyncio.new_event_loop()
        self.cut, self.port = 0, 0
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "CuttingProxy":
        self._thread.start()
        serving = asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(0.05)  # until the transports have closed

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        counted, other = (there, writer), (reader, back)
        if not self._answers:
            counted, other = other, counted
        uncounted = asyncio.create_task(self._carry(*other, None))
        try:
            if await self._carry(*counted, self._left[0] if self._left else None):
                self.cut += 1
                self._left.pop(0)
                back.transport.abort()
                writer.transport.abort()
            await uncounted
        finally:
            for each in (writer, back):
                each.close()

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, most: int | None
    ) -> bool:
        """True once `most` bytes were carried."""
        carried = 0
        with contextlib.suppress(OSError):
            while data := await source.read(16_384):
                sink.write(data)
                await sink.drain()
                carried += len(data)
                if most is not None and carried >= most:
                    return True
        sink.close()
        return False
