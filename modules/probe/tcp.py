"""A TCP service: how fast it connects, what it says first, and whether it answers as it should. TLS if wanted.

Sources: tcp(7), RFC 9293; RFC 8446 for TLS.
"""

import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated

from amon.fields import Field
from amon.units import format_quantity

from . import streams
from .shape import Family, Host, Measurement, Port, Stop, Timeout, Trial, World, clean, said

READ_MOST = 65_536
"""Bytes that are looked through for what is expected."""
BANNER_MOST = 1024

Words = Annotated[str, Field("text; \\r, \\n, \\t and \\\\ stand for themselves", pattern=r"[ -~]*", longest=512)]


@dataclass(frozen=True, slots=True)
class Settings:
    port: Port = 443
    timeout: Timeout = 5.0
    tls: Annotated[bool, Field("speak TLS from the beginning")] = False
    verify: streams.Verify = True
    server_name: Annotated[Host | None, Field("name for TLS, if not the target's")] = None
    roots: streams.Roots = None
    days_least: streams.Days = 7.0
    banner: Annotated[bool, Field("wait for what it says first")] = False
    send: Words = ""
    expect: Annotated[Words, Field("must be in what it says")] = ""
    connect_most: Annotated[float | None, Field("a slower connect is wrong", unit="s", least=0)] = None
    family: Family = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcp(Measurement):
    port: Annotated[int, Field("which")] = 0
    connect: Annotated[float | None, Field("until the connection stood", unit="s")] = None
    tls: Annotated[float | None, Field("until TLS stood, from there", unit="s")] = None
    first_byte: Annotated[float | None, Field("until it said something, from there", unit="s")] = None
    found: Annotated[bool, Field("what was expected came")] = False
    size: Annotated[int, Field("of what it said, as far as it was read", unit="B")] = 0
    banner: Annotated[str, Field("the first line")] = ""
    version: Annotated[str, Field("of TLS")] = ""
    cipher: Annotated[str, Field("of TLS")] = ""
    certificate_days: Annotated[float | None, Field("until the certificate ends", unit="d")] = None

    def __str__(self) -> str:
        return said(self, self.summary(), f" port {self.port}")

    def summary(self) -> str:
        parts = []
        for name, value in (("connect", self.connect), ("TLS", self.tls), ("first byte", self.first_byte)):
            if value is not None:
                parts.append(f"{name} {format_quantity(value, 's')}")
        if self.banner:
            parts.append(f'says "{self.banner}"')
        if self.certificate_days is not None:
            parts.append(f"certificate {self.certificate_days:.0f} d")
        return ", ".join(parts)


async def measure(target: str, settings: Settings, world: World) -> Tcp:
    trial = Trial(Tcp(target=target, port=settings.port), world)
    return await trial.run(_talk(target, settings, trial), settings.timeout)


async def _talk(target: str, settings: Settings, trial: Trial[Tcp]) -> None:
    address = await trial.resolve(target, settings.family)
    sock, seconds = await streams.opened(address, settings.port, trial)
    trial.know(connect=seconds)
    async with AsyncExitStack() as stack:
        if settings.tls:
            reader, writer = await _secured(address, target, sock, settings, trial, stack)
        else:
            reader, writer = await stack.enter_async_context(streams.wrapped(sock))
        if settings.send:
            writer.write(meant(settings.send))
            trial.say(f'sent "{settings.send}"')
        if settings.banner or settings.expect:
            await _listen(reader, settings, trial)
    _judge(settings, trial)


async def _secured(
    address: str, target: str, sock: "streams.Socket", settings: Settings, trial: Trial[Tcp], stack: AsyncExitStack
) -> "streams.Pair":
    name = settings.server_name or target
    try:
        secured = await stack.enter_async_context(
            streams.secure(sock, name, trial, verify=settings.verify, roots=settings.roots)
        )
    except ssl.SSLCertVerificationError as fault:
        trial.say(streams.why(fault))
        certificate = await streams.look(address, settings.port, name, trial)
        trial.know(certificate_days=certificate.days)
        raise Stop("wrong", streams.why(fault)) from None
    trial.know(
        tls=secured.seconds,
        version=secured.version,
        cipher=secured.cipher,
        certificate_days=secured.certificate.days,
    )
    return secured.reader, secured.writer


async def _listen(reader: "streams.Reader", settings: Settings, trial: Trial[Tcp]) -> None:
    """Until what is expected has come, or a first line; at most so many bytes."""
    wanted, heard, began = meant(settings.expect), b"", trial.elapsed
    async for data in streams.read_some(reader, READ_MOST):
        if not heard:
            trial.know(first_byte=trial.elapsed - began)
        heard += data
        line = heard[:BANNER_MOST].partition(b"\n")[0].rstrip(b"\r")
        trial.know(size=len(heard), banner=clean(line.decode("utf-8", "replace")))
        if wanted in heard if wanted else b"\n" in heard[:BANNER_MOST] or len(heard) >= BANNER_MOST:
            trial.know(found=bool(wanted))
            trial.say(f'it says "{trial.known.banner}"')
            return
    if not heard:
        raise Stop("failed", "it closed and said nothing")
    trial.say(f'it says "{trial.known.banner}"')
    if wanted:
        raise Stop("wrong", f'"{settings.expect}" is not in the {len(heard)} B it said')


def meant(text: str) -> bytes:
    """What an operator wrote, with its escapes resolved."""
    made, rest = [], text
    while rest:
        plain, back, rest = rest.partition("\\")
        made.append(plain)
        if back:
            made.append({"r": "\r", "n": "\n", "t": "\t"}.get(rest[:1], rest[:1] or "\\"))
            rest = rest[1:]
    return "".join(made).encode()


def _judge(settings: Settings, trial: Trial[Tcp]) -> None:
    known = trial.known
    if known.certificate_days is not None and settings.verify and known.certificate_days < settings.days_least:
        trial.know(state="wrong", reason=f"the certificate ends in {known.certificate_days:.1f} d")
    elif settings.connect_most is not None and (known.connect or 0.0) > settings.connect_most:
        trial.know(state="wrong", reason=f"the connect took more than {format_quantity(settings.connect_most, 's')}")
