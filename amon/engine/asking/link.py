"""One socket of an engine, from an agent's event loop. asyncio has no streams of SOCK_SEQPACKET: this is one, small.

Sources: unix(7); recv(2), MSG_TRUNC. Reports are heard as they come unless reading is held; orders wait for room.
"""

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from amon.engine.messages import MESSAGE_MOST, AnyOrder, AnyReport, Hello, Refused, Welcome, encode, read_report
from amon.errors import Failed
from amon.errors import Refused as RefusedError

_AT_ONCE = 32
"""Reports heard before others on the loop have their turn."""
_WAITING_MOST = 1024 * 1024
"""Bytes of orders that wait for the engine; who sends more waits too."""
_RETRY = 0.05


class Link:
    """hear: what is called with each report after `Welcome`. lost: with the reason, once, when it has broken."""

    def __init__(self, path: Path | None, hear: Callable[[AnyReport], None], lost: Callable[[str], None]) -> None:
        self.path = path
        self.welcome: Welcome | None = None
        self._hear, self._lost = hear, lost
        self._socket: socket.socket | None = None
        self._buffer = bytearray(MESSAGE_MOST)
        self._waiting: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._bytes = 0
        self._room = asyncio.Event()
        self._hello: asyncio.Future[Welcome] | None = None
        self._held = False
        self._log = logging.getLogger("amon.engine.asking.client")

    @property
    def up(self) -> bool:
        return self.welcome is not None

    async def open(self, hello: Hello, within: float, connected: socket.socket | None = None) -> Welcome:
        """Connects and says hello. `Failed` if nobody answers, `Refused` if the engine will not have us."""
        try:
            async with asyncio.timeout(within):
                self._attach(connected or await self._connect())
                self._hello = asyncio.get_running_loop().create_future()
                await self.send(hello)
                self.welcome = await self._hello
                return self.welcome
        except TimeoutError:
            self.close()
            raise Failed(f"the engine at {self.path} does not answer within {within:g} s") from None
        except BaseException:
            self.close()
            raise
        finally:
            self._hello = None

    async def send(self, order: AnyOrder, descriptors: Sequence[int] = ()) -> None:
        """Waits while too much waits already. The descriptors are copied. `Failed` if the link is down."""
        while self._socket is not None and self._bytes > _WAITING_MOST:
            self._room.clear()
            await self._room.wait()
        self.post(order, descriptors)

    def post(self, order: AnyOrder, descriptors: Sequence[int] = ()) -> None:
        """The same without waiting, for what is short and seldom."""
        if self._socket is None:
            raise Failed(f"the engine at {self.path} is not connected")
        data = encode(order)
        self._waiting.append((data, tuple(os.dup(each) for each in descriptors)))
        self._bytes += len(data)
        if len(self._waiting) == 1:
            self._write()

    def hold(self, held: bool) -> None:
        """Whether what the engine says stays where it is, so that it has to wait."""
        self._held = held
        if self._socket is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket.fileno())
            if not held:
                loop.add_reader(self._socket.fileno(), self._read)

    def close(self) -> None:
        self.welcome = None
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket.fileno())
        loop.remove_writer(self._socket.fileno())
        self._socket.close()
        self._socket = None
        for _, descriptors in self._waiting:
            _close(descriptors)
        self._waiting.clear()
        self._bytes = 0
        self._room.set()

    async def _connect(self) -> socket.socket:
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            while True:
                try:
                    one.connect(str(self.path))
                    return one
                except BlockingIOError:  # its backlog is full: nothing tells when that changes
                    await asyncio.sleep(_RETRY)
        except OSError as error:
            one.close()
            raise Failed(f"no engine at {self.path}: {error.strerror}; next: systemctl status amon-engine") from None
        except BaseException:
            one.close()
            raise

    def _attach(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket, self._held = connected, False
        asyncio.get_running_loop().add_reader(connected.fileno(), self._read)

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            if self._socket is None or self._held:
                return
            try:
                size = self._socket.recv_into(self._buffer, 0, socket.MSG_TRUNC)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # said once, before what was sent to us last
            except OSError as error:
                self._break(str(error))
                return
            if 0 < size <= len(self._buffer):
                self._take(memoryview(self._buffer)[:size])
            else:
                self._break("the engine sent a message that is too large" if size else "the engine has closed")

    def _take(self, data: memoryview) -> None:
        try:
            report = read_report(bytes(data))
        except (msgspec.ValidationError, msgspec.DecodeError, RecursionError) as error:
            self._log.warning("a report was not understood: %s", error)
            return
        if self._hello is None or self._hello.done():
            self._hear(report)
        elif isinstance(report, Welcome):
            self._hello.set_result(report)
        elif isinstance(report, Refused):
            self._hello.set_exception(RefusedError(report.text))

    def _write(self) -> None:
        while self._waiting and self._socket is not None:
            data, descriptors = self._waiting[0]
            try:
                socket.send_fds(self._socket, [data], descriptors, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                asyncio.get_running_loop().add_writer(self._socket.fileno(), self._write)
                return
            except OSError:
                break  # the reader says why, after the last words
            self._waiting.popleft()
            self._bytes -= len(data)
            _close(descriptors)
        if self._socket is not None:
            asyncio.get_running_loop().remove_writer(self._socket.fileno())
        self._room.set()

    def _break(self, why: str) -> None:
        hello = self._hello
        self.close()
        if hello is None:
            self._lost(why)
        elif not hello.done():
            hello.set_exception(Failed(f"the engine at {self.path}: {why}"))


def _close(descriptors: Sequence[int]) -> None:
    for each in descriptors:
        os.close(each)
