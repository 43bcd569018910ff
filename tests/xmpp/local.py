"""A TCP server of a test: a free port, and an end that leaves nothing behind."""

import asyncio
import ssl
from abc import ABC, abstractmethod
from typing import Self


class LocalServer(ABC):
    """`visit` is run for each connection; whatever it has opened ends when the connections are cut."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @abstractmethod
    async def visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None: ...

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self.stop_listening()
        self.cut()
        await asyncio.gather(*self._tasks)

    def stop_listening(self) -> None:
        self._listener.close()

    def cut(self) -> None:
        """Every connection is reset."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self.visit(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        """Joins the connection to one that it opens to `port`."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        self._writers.add(far_writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer))
                group.create_task(self._pump(far_reader, writer))
        finally:
            far_writer.transport.abort()
            self._writers.discard(far_writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if self.passes(data):
                    writer.write(data)
        except ConnectionError:
            pass
        writer.close()

    def passes(self, data: bytes) -> bool:
        """Whether these bytes go on."""
        return True
