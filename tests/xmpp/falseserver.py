"""A server that says what a test wants: for what no honest one does."""

import asyncio
import base64
import re
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from admin_console.server.certificate import Certificate, certificate
from tests.xmpp.local import LocalServer

HEADER = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' version='1.0'>"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"


def login(*mechanisms: str) -> str:
    """The feature that offers a login."""
    names = "".join(f"<mechanism>{name}</mechanism>" for name in mechanisms)
    return f"<mechanisms xmlns='{SASL}'>{names}</mechanisms>"


class FalseServer(LocalServer):
    """Runs `script` for each connection; keeps every byte the client sent in `said`."""

    def __init__(
        self,
        folder: Path,
        script: Callable[["FalseServer"], Awaitable[None]],
        *,
        direct_tls: bool,
        names: tuple[str, ...] = ("amon.test",),
        shown: Certificate | None = None,
    ) -> None:
        shown = shown or certificate(folder, names, "127.0.0.1")
        self.ca_file = shown.ca
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(shown.chain, shown.key)
        super().__init__(self.tls if direct_tls else None)
        self._script, self.direct_tls = script, direct_tls
        self.said = self.everything = ""
        self.heard = asyncio.Event()  # for a script that tells that it is through
        self.visits = 0

    async def visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        self._reader, self.writer = reader, writer
        await self._script(self)
        while data := await reader.read(65536):
            self.said += data.decode(errors="replace")

    def say(self, text: str | bytes) -> None:
        self.writer.write(text.encode() if isinstance(text, str) else text)

    async def hear(self, pattern: str) -> re.Match[str]:
        """Waits for something the client says."""
        async with asyncio.timeout(10):
            while not (found := re.search(pattern, self.said)):
                data = await self._reader.read(65536)
                if not data:
                    raise ConnectionResetError
                self.said += data.decode(errors="replace")
        return found

    async def offer(self, features: str) -> None:
        """The beginning of a stream."""
        await self.hear("<stream:stream")
        self.said = ""
        self.say(f"{HEADER}<stream:features>{features}</stream:features>")

    async def offer_login(self, *mechanisms: str) -> None:
        await self.offer(login(*mechanisms))

    async def challenge(self, rounds: int = 4096, nonce: str = "") -> None:
        """Continues a SCRAM login."""
        first = base64.b64decode((await self.hear(r">([\w+/=]+)</auth>"))[1]).decode()
        own = nonce or first.rpartition("r=")[2]
        text = f"r={own}server,s={base64.b64encode(b'salt').decode()},i={rounds}"
        self.say(f"<challenge xmlns='{SASL}'>{base64.b64encode(text.encode()).decode()}</challenge>")


async def offers_tls(server: FalseServer) -> None:
    """A script: TLS, and then it hears what the client says; `said` is what came after the offer."""
    if not server.direct_tls:
        await server.offer("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await server.hear("<starttls")
        server.said = ""
        server.say("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        try:
            await server.writer.start_tls(server.tls)
        except ssl.SSLError as error:
            raise ConnectionResetError from error
    await server.hear("never")


async def strips_tls(server: FalseServer) -> None:
    """A script: offers the login in clear, as if there were no TLS; `said` is what came after that."""
    await server.offer(login("SCRAM-SHA-256", "PLAIN"))
    server.said = ""
    await server.hear("never")
