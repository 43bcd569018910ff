"""A raw XMPP stream for tests of refusals: what no well-behaved client would send, and what a server says to it."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clients.stream import only
from tests.servers.printed import Server

_OPEN = "<stream:stream to='{to}'{by} version='1.0' xmlns='{ns}' xmlns:stream='http://etherx.jabber.org/streams'>"


@dataclass
class Wire:
    """One connection; `domain` is the host the stream is opened to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    domain: str

    async def open(self, *, by: str = "", ns: str = "jabber:client") -> str:
        """A stream header, and what comes up to the features or to the end."""
        sender = f" from='{by}'" if by else ""
        self.write(_OPEN.format(to=self.domain, by=sender, ns=ns))
        return await self.until(b"</stream:features>", b"</stream:stream>", b"<stream:features/>")

    async def tls(self, server: Server, shown: tuple[Path, Path] | None = None) -> None:
        """shown: our own certificate and its key, for a server that asks for one."""
        context = only(server.ca_file)
        if shown:
            context.load_cert_chain(*shown)
        self.write("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        assert "proceed" in await self.until(b"/>")
        await self.writer.start_tls(context, server_hostname=self.domain)

    def write(self, text: str) -> None:
        self.writer.write(text.encode())

    async def until(self, *ends: bytes) -> str:
        """All that came up to one of these, or to the end of the connection."""
        came = b""
        async with asyncio.timeout(15):
            while not any(end in came for end in ends):
                try:
                    more = await self.reader.read(65_536)
                except ConnectionError:
                    break
                if not more:
                    break
                came += more
        return came.decode(errors="replace")


@asynccontextmanager
async def wire(server: Server, domain: str, port: int = 0) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection(server.host, port or server.c2s_port)
    try:
        yield Wire(reader, writer, domain)
    finally:
        writer.transport.abort()


def plain(name: str, password: str) -> str:
    """SASL PLAIN, RFC 4616."""
    word = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
    return f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{word}</auth>"


def external(name: str) -> str:
    """SASL EXTERNAL, XEP-0178: the certificate proves it."""
    word = base64.b64encode(name.encode()).decode()
    return f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{word}</auth>"
