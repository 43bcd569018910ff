"""The fastest client there could be in this language: prebuilt stanzas over TLS, counts end tags, reads nothing else.

What `amon.xmpp` is measured against: `raw.py echo|drive HOST PORT CA ME PEER PASSWORD`. RFC 6120; SASL PLAIN.
"""

import asyncio
import base64
import ssl
import sys
from pathlib import Path

from amon.xmpp.tls import tls_context
from tests.bench.driver import Driver, echo, obey

_END = b"</message>"
_HEADER = "<?xml version='1.0'?><stream:stream to='{}' version='1.0' xmlns='jabber:client' {}>"
_STREAMS = "xmlns:stream='http://etherx.jabber.org/streams'"


class Raw(asyncio.Protocol):
    """Counts what comes; an echo sends as many of the same size, a driver is told."""

    def __init__(self, peer: str, echoes: bool) -> None:
        self.driver = Driver(self.send)
        self.transport: asyncio.Transport
        self.body = 0  # of what an echo sends
        self._peer, self._echoes = peer, echoes
        self._stanzas: dict[int, bytes] = {}
        self._rest = b""
        self._login = bytearray()
        self._waiting: tuple[bytes, asyncio.Event] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._waiting is not None:
            self._login += data
            if self._waiting[0] in self._login:
                self._waiting[1].set()
            return
        text = self._rest + data
        count = text.count(_END)
        self._rest = text[1 - len(_END) :]  # too short to hold an end tag that was counted
        if count and self._echoes:
            self.send(self.body, count)
        elif count:
            self.driver.heard(count)

    def connection_lost(self, exc: Exception | None) -> None:
        pass

    def send(self, body: int, count: int) -> None:
        self.transport.write(self._stanza(body) * count)

    def _stanza(self, body: int) -> bytes:
        """As `amon.xmpp` writes it, byte for byte but for the id."""
        if body not in self._stanzas:
            text = f'<message to="{self._peer}" type="normal" id="0123456789abcdef"><body>{"x" * body}</body></message>'
            self._stanzas[body] = text.encode()
        return self._stanzas[body]

    async def tell(self, text: str, until: str) -> None:
        """One step of the login."""
        self._login.clear()
        self._waiting = (until.encode(), asyncio.Event())
        self.transport.write(text.encode())
        async with asyncio.timeout(10):
            await self._waiting[1].wait()
        self._waiting = None


async def login(raw: Raw, me: str, password: str) -> None:
    jid, _, resource = me.partition("/")
    user, _, domain = jid.partition("@")
    secret = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
    sasl = "urn:ietf:params:xml:ns:xmpp-sasl"
    header = _HEADER.format(domain, _STREAMS)
    await raw.tell(header, "</stream:features>")
    await raw.tell(f"<auth xmlns='{sasl}' mechanism='PLAIN'>{secret}</auth>", "<success")
    await raw.tell(header, "</stream:features>")
    bind = f"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind>"
    await raw.tell(f"<iq type='set' id='bind'>{bind}</iq>", "</iq>")


async def main(role: str, host: str, port: str, ca_file: str, me: str, peer: str, password: str) -> None:
    context: ssl.SSLContext = tls_context(Path(ca_file))
    domain = me.partition("/")[0].partition("@")[2]
    _, raw = await asyncio.get_running_loop().create_connection(
        lambda: Raw(peer, role == "echo"), host, int(port), ssl=context, server_hostname=domain
    )
    await login(raw, me, password)

    def take(body: int) -> None:
        raw.body = body

    await (echo(take) if role == "echo" else obey(raw.driver))
    raw.transport.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
