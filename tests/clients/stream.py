"""A raw XMPP stream for tests that ask what a server offers before anybody has logged in: RFC 6120, 4 and 5."""

import asyncio
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

_OPEN = (
    "<stream:stream to='{domain}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server offered in clear and, after TLS, with which names in its certificate."""

    clear: str
    encrypted: str
    names: frozenset[str]

    @property
    def mechanisms(self) -> set[str]:
        return set(re.findall(r"<mechanism>([^<]+)", self.encrypted))


def only(ca_file: Path | None) -> ssl.SSLContext:
    """A context that trusts this authority and no other; without one, those of the system."""
    if ca_file is None:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca_file)
    return context


async def starttls_offer(host: str, port: int, domain: str, context: ssl.SSLContext) -> Offer:
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            clear = await _features(reader, writer, domain)
            writer.write(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            await reader.readuntil(b">")
            await writer.start_tls(context, server_hostname=domain)
            return Offer(clear, await _features(reader, writer, domain), _names(writer))
        finally:
            # Not every server answers a close_notify, and there is nothing to lose.
            writer.transport.abort()


async def direct_offer(host: str, port: int, domain: str, context: ssl.SSLContext) -> Offer:
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=domain)
        try:
            return Offer("", await _features(reader, writer, domain), _names(writer))
        finally:
            writer.transport.abort()


async def _features(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, domain: str) -> str:
    writer.write(_OPEN.format(domain=domain).encode())
    return (await reader.readuntil(b"</stream:features>")).decode()


def _names(writer: asyncio.StreamWriter) -> frozenset[str]:
    shown = writer.get_extra_info("peercert")
    return frozenset(value for _, value in shown["subjectAltName"])
