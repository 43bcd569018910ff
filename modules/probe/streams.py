"""A TCP connection for a probe, step by step: connect, then TLS, each with its time; and what a certificate says.

Sources: tcp(7), RFC 8446, RFC 6125 (whose name a certificate must bear), RFC 5280 (validity).
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from amon.fields import Field
from amon.units import format_quantity

from .names import family_of, sockaddr
from .shape import Stop, Trial, clean

BUFFER = 65_536
"""Bytes that are read ahead."""

Socket = socket.socket
Reader = asyncio.StreamReader
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Roots = Annotated[Path | None, Field("file of the certificates to trust, in place of the system's")]
Verify = Annotated[bool, Field("whether the certificate has to be trusted and to bear the name")]
Days = Annotated[float, Field("fewer days until a certificate ends are wrong", unit="d", least=0, most=3650)]


@dataclass(frozen=True, slots=True)
class Link:
    """connect: seconds until it stood."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    connect: float


@dataclass(frozen=True, slots=True)
class Certificate:
    """days: until it ends, negative when it has. names: whom it is for. fault: why it is not trusted."""

    days: float | None = None
    names: tuple[str, ...] = ()
    issuer: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Secured:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    seconds: float
    version: str
    cipher: str
    protocol: str
    certificate: Certificate


async def opened(address: str, port: int, trial: Trial[Any]) -> tuple[socket.socket, float]:
    """A socket that is connected, and how long that took."""
    sock = socket.socket(family_of(address), socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        source = trial.world.source(address)
        if source:
            sock.bind(sockaddr(source))
        began = trial.elapsed
        await asyncio.get_running_loop().sock_connect(sock, sockaddr(address, port))
        seconds = trial.elapsed - began
    except BaseException:
        sock.close()
        raise
    trial.say(f"connected to {address} port {port} in {format_quantity(seconds, 's')}")
    return sock, seconds


@asynccontextmanager
async def connect(address: str, port: int, trial: Trial[Any]) -> AsyncIterator[Link]:
    sock, seconds = await opened(address, port, trial)
    async with wrapped(sock) as (reader, writer):
        yield Link(reader, writer, seconds)


@asynccontextmanager
async def secure(
    sock: socket.socket,
    name: str,
    trial: Trial[Any],
    *,
    verify: bool,
    roots: Path | None,
    protocols: tuple[str, ...] = (),
) -> AsyncIterator[Secured]:
    """TLS on a connected socket, which is closed at the end. Raises `Stop` and, for what is wrong with the certificate,
    ssl.SSLCertVerificationError."""
    try:
        context = await asyncio.to_thread(_context, verify, roots, protocols)
    except BaseException:
        sock.close()
        raise
    began = trial.elapsed
    try:
        async with wrapped(sock, ssl=context, server_hostname=name) as (reader, writer):
            seconds = trial.elapsed - began
            tls = writer.get_extra_info("ssl_object")
            certificate = read_certificate(tls.getpeercert(binary_form=True) or b"", trial.world.clock.time())
            cipher, version = (tls.cipher() or ("", "", 0))[0], tls.version() or ""
            trial.say(f"{version} with {cipher} in {format_quantity(seconds, 's')}")
            yield Secured(reader, writer, seconds, version, cipher, tls.selected_alpn_protocol() or "", certificate)
    except ssl.SSLCertVerificationError:
        raise
    except ssl.SSLError as fault:
        raise Stop("failed", f"TLS: {(fault.reason or str(fault)).lower().replace('_', ' ')}") from None


async def look(address: str, port: int, name: str, trial: Trial[Any]) -> Certificate:
    """The certificate of a server that is not trusted, by a second connection that trusts anybody and says nothing."""
    trial.say("once more, only to read the certificate")
    with suppress(OSError, Stop):
        sock, _ = await opened(address, port, trial)
        async with secure(sock, name, trial, verify=False, roots=None) as secured:
            return secured.certificate
    return Certificate()


def why(fault: ssl.SSLCertVerificationError) -> str:
    return f"certificate: {clean(fault.verify_message or str(fault)).lower().rstrip('.')}"


def read_certificate(data: bytes, now: float) -> Certificate:
    """What is said in a certificate (DER) that anybody may have written."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.x509.oid import ExtensionOID

    broken = (ValueError, TypeError, OverflowError, UnsupportedAlgorithm, x509.InvalidVersion)
    try:
        found = x509.load_der_x509_certificate(data)
        days = (found.not_valid_after_utc.timestamp() - now) / 86400
        issuer = clean(found.issuer.rfc4514_string())
    except broken:
        return Certificate()
    names: tuple[str, ...] = ()
    with suppress(*broken, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        extension: Any = found.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
        names = tuple(clean(str(one.value)) for one in list(extension)[:20])
    return Certificate(days, names, issuer)


async def read_some(reader: asyncio.StreamReader, most: int) -> AsyncGenerator[bytes, None]:
    """What comes, piece by piece, until the end or so many bytes."""
    while most > 0:
        data = await reader.read(min(most, BUFFER))
        if not data:
            return
        most -= len(data)
        yield data


@asynccontextmanager
async def wrapped(sock: socket.socket, **options: Any) -> AsyncIterator[Pair]:
    """Reader and writer of a connected socket, which is closed at the end."""
    try:
        reader, writer = await asyncio.open_connection(sock=sock, limit=BUFFER, **options)
    except BaseException:
        sock.close()
        raise
    try:
        yield reader, writer
    finally:
        writer.transport.abort()  # a probe owes nobody a farewell, and must not wait for one


def _context(verify: bool, roots: Path | None, protocols: tuple[str, ...]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(roots) if roots is not None else None)
    except OSError as fault:
        raise Stop("unmeasured", f"{roots}: {fault.strerror or fault}".lower()) from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context
