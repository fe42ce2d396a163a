"""A TCP proxy whose line can be cut, delayed and mended. Law: bytes that were passed on are whole and in order.

It runs an event loop in a thread of its own. A cut line is silent, as a broken network is: nothing is refused or
closed, bytes wait in their sockets, and go on once it is mended.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
HOST = "127.0.0.1"
_PIECE = 1 << 16
_LONGEST_LINE = 256


class Proxy:
    """Listens on `port` (0: any free one) and passes everything on to `target`, a port of the same host, which may be
    set later."""

    def __init__(self, name: str, target: int = 0, port: int = 0) -> None:
        self.name = name
        self.target = target
        self.passed = 0
        self._delay = 0.0
        self._whole = asyncio.Event()
        self._links: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy {name}", daemon=True)
        self._thread.start()
        self._server: asyncio.Server | None = None
        self.port = self._call(self._listen(port))

    @property
    def whole(self) -> bool:
        """Whether it is neither cut nor delayed."""
        return self._whole.is_set() and not self._delay

    def cut(self) -> None:
        """Let nothing through, without a word to either side."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def delay(self, seconds: float) -> None:
        """Hold back each piece of bytes, in either direction, for so long."""
        self._delay = seconds

    def mend(self) -> None:
        """Undo `cut` and `delay`."""
        self._delay = 0.0
        self._loop.call_soon_threadsafe(self._whole.set)

    def reset(self) -> None:
        """Close every connection now; new ones are taken."""
        self._call(self._drop())

    def close(self) -> None:
        """End it with all of its connections."""
        if self._loop.is_closed():
            return
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self, port: int) -> int:
        self._whole.set()
        self._server = await asyncio.start_server(self._accept, HOST, port, limit=_PIECE)
        return int(self._server.sockets[0].getsockname()[1])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        try:
            await self._whole.wait()
            there, back = await asyncio.open_connection(HOST, self.target, limit=_PIECE)
            try:
                ways = [asyncio.create_task(self._pass(*way)) for way in ((reader, back), (there, writer))]
                try:
                    # Kafka's clients never close one direction alone: when one ends, so does the other.
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
            finally:
                back.close()
        except (OSError, asyncio.CancelledError):
            pass  # The broker is away, or the proxy is ending: the client sees a closed connection.
        finally:
            self._links.discard(link)
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, until its end or an error. Pieces wait in a line, each for its own time: a delay makes the way
        longer, not narrower."""
        loop = asyncio.get_running_loop()
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_LONGEST_LINE)

        async def fill() -> None:
            piece = b"-"
            while piece:
                try:
                    piece = await reader.read(_PIECE)
                except OSError:
                    piece = b""
                await line.put((loop.time() + self._delay, piece))

        filling = asyncio.create_task(fill())
        try:
            while True:
                due, piece = await line.get()
                if (left := due - loop.time()) > 0:
                    await asyncio.sleep(left)
                await self._whole.wait()
                if not piece:
                    return
                writer.write(piece)
                await writer.drain()
                self.passed += len(piece)
        except OSError:
            return
        finally:
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)

    async def _drop(self) -> None:
        for link in tuple(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._drop()
        if self._server is not None:
            await self._server.wait_closed()
