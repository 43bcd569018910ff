"""Small proxies: HTTP CONNECT (RFC 9110, 9.3.6) and SOCKS5 (RFC 1928, RFC 1929), to one server only."""

import asyncio
import base64
import struct
from socket import inet_ntoa

from tests.xmpp.local import LocalServer


class TinyProxy(LocalServer):
    """`kind` is http or socks5. With `user` it asks for a login. `asked` keeps what it was asked to reach."""

    def __init__(self, kind: str, to: int, *, user: str = "", password: str = "", refuse: bool = False) -> None:
        super().__init__()
        self._kind, self._to, self._user, self._password, self._refuse = kind, to, user, password, refuse
        self.asked: list[str] = []
        self.seen = b""

    @property
    def url(self) -> str:
        login = f"{self._user}:{self._password}@" if self._user else ""
        return f"{self._kind}://{login}127.0.0.1:{self.port}"

    async def visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await (self._http(reader, writer) if self._kind == "http" else self._socks(reader, writer)):
            await self.carry(reader, writer, self._to)

    def passes(self, data: bytes) -> bool:
        self.seen += data
        return True

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.split()[1])
        login = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
        if self._user and f"Basic {login}" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        elif self._refuse:
            writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            return True
        await writer.drain()
        return False

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        _, count = await reader.readexactly(2)
        await reader.readexactly(count)
        writer.write(b"\x05\x02" if self._user else b"\x05\x00")
        if self._user:
            _, length = await reader.readexactly(2)
            name = await reader.readexactly(length)
            secret = await reader.readexactly((await reader.readexactly(1))[0])
            good = (name.decode(), secret.decode()) == (self._user, self._password)
            writer.write(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                await writer.drain()
                return False
        _, _, _, kind = await reader.readexactly(4)
        if kind == 1:
            host = inet_ntoa(await reader.readexactly(4))
        else:  # the proxy resolves the name
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        (port,) = struct.unpack("!H", await reader.readexactly(2))
        self.asked.append(f"{host}:{port}")
        writer.write((b"\x05\x02" if self._refuse else b"\x05\x00") + b"\x00\x01\x7f\x00\x00\x01\x00\x00")
        await writer.drain()
        return not self._refuse
