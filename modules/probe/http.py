"""A web page, phase by phase: name, connect, TLS, first byte, body; with status, size, certificate and redirections.

Sources: RFC 9110, RFC 9112 (HTTP/1.1, by h11), RFC 3986. No proxies, no cookies, no compression: what is measured is
this server and the way to it. Credentials do not belong into a URL that logs and answers show, so they are refused.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import quote, urljoin, urlsplit

from amon.fields import Field
from amon.units import format_quantity

from . import streams
from .shape import Family, Host, Measurement, Stop, Timeout, Trial, World, clean, need

URL_MOST = 2048
HEAD_MOST = 65_536
"""Bytes of a response's head."""
INTERIM_MOST = 10
"""Responses 1xx before the real one."""

Words = Annotated[str, Field("text that must be in the body", pattern=r"[^\x00-\x08\x0b-\x1f]*", longest=512)]
HeaderName = Annotated[str, Field("a header", pattern=r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", longest=64)]
HeaderValue = Annotated[str, Field("what it says; shown to whoever asks", pattern=r"[ -~]*", longest=512)]


@dataclass(frozen=True, slots=True)
class Settings:
    method: Literal["GET", "HEAD"] = "GET"
    timeout: Timeout = 10.0
    status: Annotated[tuple[int, ...], Field("which are right; 200 to 299 if not given", longest=20)] = ()
    expect: Words = ""
    body_most: Annotated[int, Field("bytes of the body to read", unit="B", least=0, most=64 * 2**20)] = 2**20
    redirects: Annotated[int, Field("redirections to follow", least=0, most=10)] = 5
    verify: streams.Verify = True
    server_name: Annotated[Host | None, Field("name for TLS and Host, if not the URL's")] = None
    roots: streams.Roots = None
    days_least: streams.Days = 7.0
    headers: Annotated[dict[HeaderName, HeaderValue], Field("to send beside the usual ones", longest=20)] | None = None
    seconds_most: Annotated[float | None, Field("a longer time for all of it is wrong", unit="s", least=0)] = None
    family: Family = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Http(Measurement):
    """Phases are those of the last request; `seconds` is the time of all of them."""

    url: Annotated[str, Field("of the last request")] = ""
    status: Annotated[int, Field("of the last response, 0 if there was none")] = 0
    name: Annotated[float | None, Field("until the address was known", unit="s")] = None
    connect: Annotated[float | None, Field("until the connection stood, from there", unit="s")] = None
    tls: Annotated[float | None, Field("until TLS stood, from there", unit="s")] = None
    first_byte: Annotated[float | None, Field("from the request to the head of the response", unit="s")] = None
    body: Annotated[float | None, Field("from there to the end of the body", unit="s")] = None
    size: Annotated[int, Field("of the body, as far as it was read", unit="B")] = 0
    whole: Annotated[bool, Field("the body was read to its end")] = False
    redirects: Annotated[int, Field("that were followed", unit="1")] = 0
    found: Annotated[bool, Field("the expected text was there")] = False
    kind: Annotated[str, Field("media type, as the server says")] = ""
    server: Annotated[str, Field("what the server calls itself")] = ""
    version: Annotated[str, Field("of TLS")] = ""
    cipher: Annotated[str, Field("of TLS")] = ""
    certificate_days: Annotated[float | None, Field("until the certificate ends", unit="d")] = None
    certificate_names: Annotated[tuple[str, ...], Field("whom the certificate is for")] = ()
    certificate_issuer: Annotated[str, Field("who signed it")] = ""

    def summary(self) -> str:
        parts = [f"status {self.status}"] if self.status else []
        names = ("name", "connect", "TLS", "first byte", "body")
        times = (self.name, self.connect, self.tls, self.first_byte, self.body)
        phases = [f"{name} {format_quantity(one, 's')}" for name, one in zip(names, times, strict=True) if one]
        if phases:
            parts.append(" + ".join(phases))
        if self.status:
            parts.append(format_quantity(self.size, "B") + ("" if self.whole else " read"))
        if self.redirects:
            parts.append(f"{self.redirects} redirected, to {self.url}")
        if self.certificate_days is not None:
            parts.append(f"certificate {self.certificate_days:.0f} d")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Url:
    """A URL taken apart; `text` is what is shown."""

    text: str
    secure: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def url_of(text: str) -> Url:
    """`www.example.org/x` is taken as http. Raises ValueError, never with credentials in it."""
    if len(text) > URL_MOST or not text.isprintable():
        raise ValueError("is too long for a URL, or has invisible characters")
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme not in ("http", "https"):
        raise ValueError("is neither http nor https")
    if "@" in parts.netloc:
        raise ValueError("has credentials in it, which everybody would see")
    if not parts.hostname:
        raise ValueError("has no host")
    host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode("ascii")
    secure = parts.scheme == "https"
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = f"?{quote(parts.query, safe='/%:@!$&()*+,;=~-._?')}" if parts.query else ""
    return Url(text, secure, host, parts.port or (443 if secure else 80), path + query)


async def measure(target: str, settings: Settings, world: World) -> Http:
    trial = Trial(Http(target=target), world)
    return await trial.run(_fetch(target, settings, trial), settings.timeout)


async def _fetch(target: str, settings: Settings, trial: Trial[Http]) -> None:
    need("h11")
    try:
        url = url_of(target)
    except ValueError as wrong:
        raise Stop("unmeasured", f"this {wrong}") from None
    while True:
        location = await _visit(url, settings, trial)
        if not location or trial.known.redirects >= settings.redirects:
            break
        try:
            url = url_of(urljoin(f"http{'s' if url.secure else ''}://{url.authority}{url.path}", location))
        except ValueError as wrong:
            raise Stop("wrong", f"it redirects to what {wrong}") from None
        trial.know(redirects=trial.known.redirects + 1)
    _judge(settings, trial, bool(location))


async def _visit(url: Url, settings: Settings, trial: Trial[Http]) -> str:
    """One request. Gives where it is redirected to, if it is."""
    trial.know(url=url.text, status=0, name=None, connect=None, tls=None, first_byte=None, body=None, size=0)
    began = trial.elapsed
    address = await trial.resolve(url.host, settings.family)
    trial.know(name=trial.elapsed - began)
    async with _connected(address, url, settings, trial) as (reader, writer):
        host = settings.server_name if settings.server_name and not trial.known.redirects else None
        exchange = _Exchange(reader, trial)
        writer.write(_request(exchange.machine, url, host or url.authority, settings))
        trial.say(f"{settings.method} {url.path} of {host or url.authority}")
        return await exchange.run(settings)


@asynccontextmanager
async def _connected(address: str, url: Url, settings: Settings, trial: Trial[Http]) -> AsyncIterator[streams.Pair]:
    sock, seconds = await streams.opened(address, url.port, trial)
    trial.know(connect=seconds)
    if not url.secure:
        async with streams.wrapped(sock) as pair:
            yield pair
        return
    name = settings.server_name if settings.server_name and not trial.known.redirects else url.host
    try:
        options: dict[str, Any] = {"verify": settings.verify, "roots": settings.roots, "protocols": ("http/1.1",)}
        async with streams.secure(sock, name, trial, **options) as secured:
            trial.know(tls=secured.seconds, version=secured.version, cipher=secured.cipher)
            _note_certificate(secured.certificate, trial)
            yield secured.reader, secured.writer
    except ssl.SSLCertVerificationError as fault:
        trial.say(streams.why(fault))
        _note_certificate(await streams.look(address, url.port, name, trial), trial)
        raise Stop("wrong", streams.why(fault)) from None


def _note_certificate(found: streams.Certificate, trial: Trial[Http]) -> None:
    trial.know(certificate_days=found.days, certificate_names=found.names, certificate_issuer=found.issuer)
    if found.days is not None:
        names = ", ".join(found.names[:5])
        trial.say(f"certificate for {names or 'nobody'}, by {found.issuer or 'nobody'}, {found.days:.1f} d left")


def _request(machine: Any, url: Url, host: str, settings: Settings) -> bytes:
    h11 = need("h11")
    headers = {"Host": host, "User-Agent": "amon-probe", "Accept": "*/*", "Accept-Encoding": "identity"}
    headers |= {**(settings.headers or {}), "Connection": "close"}
    try:
        request = h11.Request(method=settings.method, target=url.path, headers=list(headers.items()))
        data: bytes = machine.send(request) + machine.send(h11.EndOfMessage())
    except h11.LocalProtocolError as wrong:
        raise Stop("unmeasured", f"this request cannot be made: {wrong}") from None
    return data


class _Exchange:
    """A response as it comes in."""

    def __init__(self, reader: streams.Reader, trial: Trial[Http]) -> None:
        self._h11 = need("h11")
        self.machine = self._h11.Connection(self._h11.CLIENT, max_incomplete_event_size=HEAD_MOST)
        self._reader = reader
        self._trial = trial

    async def run(self, settings: Settings) -> str:
        """Reads it; where it redirects to, if it does."""
        trial, began = self._trial, self._trial.elapsed
        head = await self._head()
        headed = trial.elapsed
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        kind, server = clean(headers.get("content-type", "")), clean(headers.get("server", ""))
        trial.know(status=head.status_code, first_byte=headed - began, kind=kind, server=server)
        trial.say(f"status {head.status_code}")
        location = headers.get("location", "") if head.status_code in (301, 302, 303, 307, 308) else ""
        if location and trial.known.redirects < settings.redirects:
            trial.say(f"redirected to {location}")
            return location
        await self._body(settings)
        trial.know(body=trial.elapsed - headed)
        whole = "whole body" if trial.known.whole else "body, not to its end"
        trial.say(f"{whole}, {format_quantity(trial.known.size, 'B')}")
        return location

    async def _head(self) -> Any:
        for _ in range(INTERIM_MOST + 1):
            event = await self._next()
            if isinstance(event, self._h11.Response):
                return event
            if not isinstance(event, self._h11.InformationalResponse):
                break
            self._trial.say(f"status {event.status_code} in between")
        raise Stop("failed", "no response came, but other things")

    async def _body(self, settings: Settings) -> None:
        wanted, tail, found, size = settings.expect.encode(), b"", not settings.expect, 0
        while size < settings.body_most:
            event = await self._next()
            if not isinstance(event, self._h11.Data):
                self._trial.know(whole=isinstance(event, self._h11.EndOfMessage))
                break
            data = bytes(event.data[: settings.body_most - size])
            size += len(data)
            found = found or wanted in tail + data
            tail = (tail + data)[-len(wanted) :] if wanted else b""
            self._trial.know(size=size, found=found and bool(wanted))

    async def _next(self) -> Any:
        try:
            event = self.machine.next_event()
            while event is self._h11.NEED_DATA:
                self.machine.receive_data(await self._reader.read(streams.BUFFER))
                event = self.machine.next_event()
        except self._h11.RemoteProtocolError as wrong:
            raise Stop("failed", f"what came is no HTTP: {wrong}") from None
        return event


def _judge(settings: Settings, trial: Trial[Http], redirected: bool) -> None:
    known = trial.known
    wanted = known.status in settings.status if settings.status else 200 <= known.status < 300
    if not wanted:
        reason = f"status {known.status}" + (f" after {known.redirects} redirections" if redirected else "")
    elif settings.expect and not known.found:
        reason = f'"{settings.expect}" is not in the {known.size} B that were read'
    elif known.certificate_days is not None and settings.verify and known.certificate_days < settings.days_least:
        reason = f"the certificate ends in {known.certificate_days:.1f} d"
    elif settings.seconds_most is not None and trial.elapsed > settings.seconds_most:
        reason = f"it took more than {format_quantity(settings.seconds_most, 's')}"
    else:
        return
    trial.know(state="wrong", reason=reason)
