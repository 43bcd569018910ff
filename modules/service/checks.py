"""Asking a service itself whether it works: connect, GET, or run a program. Every way ends at its time limit.

HTTP is a request line and a status line (RFC 9112, 3 and 4) with `Connection: close`: no more of the answer is read.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from amon.errors import Failed
from amon.text import visible

from .child import describe, reap
from .counter import Result
from .logfile import clean
from .problems import parse_tcp
from .proc import look
from .run import run
from .settings import Check
from .single import Single

_STATUS_LINE = 4096  # bytes
_TEXT = 160  # characters of an answer that are told


class Checker:
    """Performs the check of one service; keeps nothing but the pid of a program that would not die."""

    def __init__(self, check: Check, environment: Mapping[str, str]) -> None:
        self._check = check
        self._environment = environment
        self._stuck: int | None = None
        self._blocking = Single()
        self._context: ssl.SSLContext | None = None

    async def ask(self) -> Result:
        """One check. Never raises for what the service does, never takes longer than its limit and a moment to kill."""
        try:
            async with asyncio.timeout(self._check.timeout if not self._check.argv else None):
                return await self._ask()
        except TimeoutError:
            return Result(False, f"{self._what()}: no answer in {self._check.timeout:g} s")
        except ssl.SSLError as error:
            return Result(False, f"{self._what()}: TLS: {error.reason or error}")
        except (OSError, EOFError, ValueError) as error:
            return Result(False, f"{self._what()}: {_reason(error)}")

    async def _ask(self) -> Result:
        if self._check.tcp:
            return await self._connect()
        if self._check.http:
            return await self._get()
        return await self._run()

    async def _connect(self) -> Result:
        host, port = parse_tcp(self._check.tcp) or ("", 0)
        _, writer = await self._open(host, port)
        writer.transport.abort()
        return Result(True, f"{self._what()} connects")

    async def _get(self) -> Result:
        parts = urlsplit(self._check.http)
        secure = parts.scheme == "https"
        if secure and self._context is None:  # made once: the authorities of a system are 200 KiB to read
            self._context = _trusting(self._check.ca)
        context = self._context if secure else None
        reader, writer = await self._open(parts.hostname or "", parts.port or (443 if secure else 80), context)
        try:
            status = await _status(parts, reader, writer)
        finally:
            writer.transport.abort()
        good = status == self._check.status if self._check.status else 200 <= status < 400
        return Result(good, f"{self._what()}: status {status}")

    async def _open(
        self, host: str, port: int, context: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the first address that takes one. A name server that does not answer is asked once."""
        found = await self._blocking.call(socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM)
        trouble: OSError = OSError("has no address")
        for *_, address in found:
            name = host if context is not None else None
            try:
                return await asyncio.open_connection(
                    str(address[0]), port, ssl=context, server_hostname=name, limit=_STATUS_LINE
                )
            except OSError as error:
                trouble = error
        raise trouble

    async def _run(self) -> Result:
        if self._stuck is not None and look(self._stuck) is not None and reap(self._stuck) is None:
            return Result(False, f"{self._what()}: an earlier check hangs in the kernel (pid {self._stuck})")
        try:
            ran = await run(self._check.argv, self._check.timeout, environment=self._environment, reach=self._blocking)
        except Failed as failed:
            return Result(False, str(failed))
        self._stuck = ran.stuck
        if ran.status is None:
            return Result(False, f"{self._what()}: no end in {self._check.timeout:g} s, killed")
        said = (clean(ran.output) or ("",))[-1][:_TEXT]
        text = f"{self._what()}: {describe(ran.status)}" + (f": {said}" if said else "")
        return Result(ran.status == 0, text)

    def _what(self) -> str:
        if self._check.tcp:
            return f"tcp {self._check.tcp}"
        return self._check.http or f"check {self._check.argv[0].rpartition('/')[2]}"


def _trusting(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise ValueError(f"cannot read {ca}: {error.strerror or error}") from None


async def _status(parts: SplitResult, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = (f"GET {path} HTTP/1.1", f"Host: {parts.netloc}", "User-Agent: amon", "Connection: close", "", "")
    writer.write("\r\n".join(head).encode())
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise ValueError("answers something that is not HTTP") from None
    words = line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not (words[1].isdigit() and len(words[1]) == 3):
        raise ValueError("answers something that is not HTTP")
    return int(words[1])


def _reason(error: Exception) -> str:
    if isinstance(error, asyncio.IncompleteReadError):
        return "closed the connection without an answer"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    text = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
    return visible(text, lines=False)[:_TEXT]
