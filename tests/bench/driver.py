"""One end of a conversation as a program: told on stdin what to measure, tells on stdout what it counted.

`BODY WINDOW SECONDS` in, `COUNT SECONDS` out, so that the programs of all clients (this one's sisters in `partner.py`,
`raw.py` and `netxmpp.pl`) stay connected and take turns on one server.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable

_DRAIN = 5.0  # seconds for what is under way at the end of a measurement


class Driver:
    """Keeps `window` messages in flight. send: so many messages with a body of so many bytes."""

    def __init__(self, send: Callable[[int, int], None]) -> None:
        self._send = send
        self._body = self._count = self._out = 0
        self._over = True
        self._drained = asyncio.Event()

    def heard(self, count: int = 1) -> None:
        """So many came back."""
        self._count += count
        self._out -= count
        if not self._over:
            self._out += count
            self._send(self._body, count)
        elif self._out <= 0:
            self._drained.set()

    async def measure(self, body: int, window: int, seconds: float) -> tuple[int, float]:
        """Round trips, and the seconds they took."""
        self._body, self._count, self._out, self._over = body, 0, window, False
        self._drained.clear()
        began = time.perf_counter()
        self._send(body, window)
        await asyncio.sleep(seconds)
        result = self._count, time.perf_counter() - began
        self._over = True
        async with asyncio.timeout(_DRAIN):
            await self._drained.wait()
        return result


async def obey(driver: Driver) -> None:
    """Measures what stdin says, until it is closed."""
    async for line in _told():
        body, window, seconds = line.split()
        count, took = await driver.measure(int(body), int(window), float(seconds))
        print(count, took, flush=True)


async def echo(take: Callable[[int], None] = lambda body: None) -> None:
    """The other end is told how large the bodies will be, and says that it knows."""
    async for line in _told():
        take(int(line))
        print("ready", flush=True)


async def _told() -> AsyncIterator[bytes]:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print("ready", flush=True)
    async for line in lines:
        yield line
