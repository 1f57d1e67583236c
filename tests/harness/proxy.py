"""A TCP proxy whose links can go half-open: bytes are swallowed, sockets stay open, new links work."""

import asyncio
import contextlib
import threading


class HalfOpenProxy:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target`, in a thread of its own, from `start` to `stop`."""

    def __init__(self, port: int, target: int) -> None:
        self._port, self._target = port, target
        self._loop = asyncio.new_event_loop()
        self._dead: set[asyncio.Task[None]] = set()
        self._links: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.swallowed = 0
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        serving = asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(10)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def go_half_open(self) -> int:
        """Swallow from now on whatever the links that are open carry; returns how many those are."""
        self._dead |= self._links
        return len(self._links) // 2

    async def _end(self) -> None:
        self._server.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for writer in self._writers:  # those of dead links too
            writer.transport.abort()
        await asyncio.sleep(0.05)  # until the transports have closed

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:  # the target is down: so is the link
            writer.close()
            return
        self._writers |= {back, writer}
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._links.add(task)
            task.add_done_callback(self._links.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if asyncio.current_task() in self._dead:
                    self.swallowed += len(data)
                    continue
                sink.write(data)
                await sink.drain()
        if asyncio.current_task() not in self._dead:
            sink.close()
