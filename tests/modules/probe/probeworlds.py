"""Worlds for probes: names that are known, servers on loopback that say what a test wants, an ICMP wire in memory."""

import asyncio
import os
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from amon.clock import Clock, SystemClock
from modules.probe import icmp
from modules.probe.icmpsocket import Heard
from modules.probe.names import literal
from modules.probe.shape import Family, Stop, World

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Names:
    """A resolver that knows these names and no others."""

    def __init__(self, names: Mapping[str, Sequence[str]] | None = None) -> None:
        self.names = names or {}
        self.asked: list[str] = []

    async def addresses(self, name: str, family: Family) -> Sequence[str]:
        self.asked.append(name)
        found = literal(name, family)
        if found is not None:
            return (found,)
        if name not in self.names:
            raise Stop("failed", f"{name}: domain name not found")
        return self.names[name]


def world(names: Mapping[str, Sequence[str]] | None = None, clock: Clock | None = None, **more: Any) -> World:
    return World(clock or SystemClock(), Names(names), random=random.Random(7), **more)


@asynccontextmanager
async def tcp_server(serve: Serve, port: int = 0, host: str = "127.0.0.1", **options: Any) -> AsyncIterator[int]:
    """A server on a port of `host`. serve: may close, or stay until the test ends."""
    tasks: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(served, host, port, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


Answer = Callable[[bytes], "Sequence[bytes]"]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        assert self._transport is not None
        for one in self._answer(data):
            self._transport.sendto(one, addr)


@asynccontextmanager
async def udp_server(answer: Answer, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A port of `host` that answers a datagram with these."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(answer), local_addr=(host, 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()
        await asyncio.sleep(0)


Script = Callable[["Packet"], "Iterator[tuple[float, Heard] | OSError]"]


class Packet:
    """An echo request that a `MemoryWire` was given. What comes back bears no stamp of a kernel."""

    def __init__(self, wire: "MemoryWire", message: bytes, ttl: int) -> None:
        self.wire, self.message, self.ttl = wire, message, ttl
        self.count = len(wire.sent)

    @property
    def size(self) -> int:
        """Of the IP packet."""
        return len(self.message) - icmp.HEADER.size + icmp.OVERHEAD[self.wire.version]

    @property
    def checksum(self) -> int:
        return int.from_bytes(self.message[2:4], "big")

    def reply(self, source: str = "", change: Callable[[bytes], bytes] = bytes) -> Heard:
        kind = icmp.ECHO_REPLY[self.wire.version]
        return Heard(bytes([kind, 0, 0, 0]) + change(self.message[4:]), source or self.wire.address, 0, 57)

    def error(self, source: str, kind: int, code: int, mtu: int = 0, quoted: int = 1 << 16, to: str = "") -> Heard:
        data = self.message[:quoted]
        return Heard(data, source, 0, 250, (kind, code), mtu, to or self.wire.address)


class MemoryWire:
    """An `icmpsocket.Wire` with a script at its other end: what comes, after how many seconds of the clock."""

    name = "memory"

    def __init__(self, script: Script, clock: Clock, address: str, ident: int, df: bool) -> None:
        self.version = 6 if ":" in address else 4
        self.address, self.ident, self.df, self.local_mtu, self.dropped = address, ident, df, 0, 0
        self.sent: list[Packet] = []
        self._script, self.clock = script, clock
        self._heard: deque[Heard] = deque()
        self._read, self._write = os.pipe2(os.O_NONBLOCK)
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, message: bytes, ttl: int) -> None:
        packet = Packet(self, message, ttl)
        self.sent.append(packet)
        for one in self._script(packet):
            if isinstance(one, OSError):
                raise one
            task = asyncio.create_task(self._later(*one))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _later(self, seconds: float, heard: Heard) -> None:
        if seconds:
            await self.clock.sleep(seconds)
        self._heard.append(heard)
        os.write(self._write, b"!")

    def heard(self) -> Iterator[Heard]:
        try:
            os.read(self._read, 65536)
        except BlockingIOError:
            pass
        while self._heard:
            yield self._heard.popleft()

    def fileno(self) -> int:
        return self._read

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        os.close(self._read)
        os.close(self._write)


class Wires:
    """What makes them; keeps all that were made."""

    def __init__(self, script: Script, clock: Clock) -> None:
        self._script, self._clock = script, clock
        self.made: list[MemoryWire] = []
        self.options: list[dict[str, Any]] = []

    def __call__(self, address: str, ident: int, **options: Any) -> MemoryWire:
        wire = MemoryWire(self._script, self._clock, address, ident, bool(options.get("df")))
        self.made.append(wire)
        self.options.append(options)
        return wire

    @property
    def sent(self) -> list[Packet]:
        return [packet for wire in self.made for packet in wire.sent]
