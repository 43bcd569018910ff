"""A file put where whoever has its link can get it: XEP-0363, HTTP File Upload, over the account's own server.

Trust is the account's: its CA file, its pins, its proxy. What the server names is only used where it is https; of the
headers it asks for, those that XEP-0363 (section 5) allows. RFC 9110, 9.3.4 (PUT); no redirect is followed.
"""

import asyncio
import http.client
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

from amon.errors import Failed
from amon.units import format_quantity
from amon.xmpp import faults, names
from amon.xmpp.faults import StanzaError, Unreachable
from amon.xmpp.forms import read_form
from amon.xmpp.login import Login
from amon.xmpp.proxy import through_proxy
from amon.xmpp.requests import info_query, read_features
from amon.xmpp.tls import same_trust

UPLOAD = "urn:xmpp:http:upload:0"
_ITEMS_MOST = 32  # services that are looked at
_LONGEST_URL, _LONGEST_VALUE = 2000, 8192  # characters
_HEADERS = ("authorization", "cookie", "expires")
_EACH_STEP = 30.0  # seconds for the network to do something
_ALL = 300.0  # seconds
_TOLD_WITHIN = 60.0  # seconds, until we know where to put it


class Ask(Protocol):
    async def __call__(self, to: str | None, kind: str, content: Element, within: float | None = None) -> Element: ...


@dataclass(frozen=True, slots=True)
class Service:
    """most: bytes of a file, where it tells."""

    jid: str
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    put: str
    get: str
    headers: tuple[tuple[str, str], ...]


async def upload(
    ask: Ask, login: Login, context: ssl.SSLContext, name: str, file: BinaryIO, size: int, kind: str
) -> str:
    """The link to get it by. kind: its content type. `Failed` says why there is none."""
    try:
        async with asyncio.timeout(_TOLD_WITHIN):
            slot = await _agreed(ask, login, name, size, kind)
    except TimeoutError:
        raise Failed(f"the server of {login.domain} does not tell in {_TOLD_WITHIN:g} s where files go") from None
    try:
        async with asyncio.timeout(_ALL):
            await _send(slot, login, context, file, size, kind)
    except TimeoutError:
        raise Failed(f"{_host(slot.put)[0]} did not take it in {_ALL:g} s") from None
    return slot.get


async def _agreed(ask: Ask, login: Login, name: str, size: int, kind: str) -> Slot:
    service = await find_service(ask, login.domain)
    if service.most is not None and size > service.most:
        sizes = f"{format_quantity(size, 'B')} long, and {service.jid} takes {format_quantity(service.most, 'B')}"
        raise Failed(f"it is {sizes} at most")
    return await _slot(ask, service, name, size, kind)


async def find_service(ask: Ask, domain: str) -> Service:
    """At the account's own server: of its domain, or of the domain above that. XEP-0363, 4."""
    above = domain.partition(".")[2]
    for host in (domain, above) if "." in above else (domain,):
        for jid in await _items(ask, host):
            found = await _service(ask, jid)
            if found is not None:
                return found
    raise Failed(f"the server of {domain} offers no upload of files (XEP-0363)")


async def _items(ask: Ask, host: str) -> list[str]:
    try:
        answer = await ask(host, "get", Element(f"{{{names.DISCO_ITEMS}}}query"))
    except StanzaError:
        return []
    found = [item.get("jid", "") for item in answer.iterfind(f"*/{{{names.DISCO_ITEMS}}}item")][:_ITEMS_MOST]
    # A service of ours bears a name below ours; whatever else a server lists is not asked.
    return [jid for jid in found if jid == host or jid.endswith(f".{host}")] or [host]


async def _service(ask: Ask, jid: str) -> Service | None:
    try:
        answer = await ask(jid, "get", info_query(), 10.0)
    except StanzaError:
        return None
    if UPLOAD not in read_features(answer):
        return None
    for form in answer.iter(f"{{{names.FORM}}}x"):
        values = read_form(form)
        most = next(iter(values.get("max-file-size", ())), "")
        if values.get("FORM_TYPE") == (UPLOAD,) and most.isascii() and most.isdigit() and len(most) < 18:
            return Service(jid, int(most))
    return Service(jid)


async def _slot(ask: Ask, service: Service, name: str, size: int, kind: str) -> Slot:
    content = {"filename": name, "size": str(size), "content-type": kind}
    try:
        answer = await ask(service.jid, "get", Element(f"{{{UPLOAD}}}request", content))
    except StanzaError as error:
        why = {
            "not-acceptable": "takes no file of this size or kind",
            "resource-constraint": "has no room left for this account today",
            "forbidden": "does not let this account upload",
            "not-allowed": "does not let this account upload",
        }.get(error.condition)
        raise Failed(f"{service.jid} {why}" if why else str(error)) from None
    slot = answer.find(f"{{{UPLOAD}}}slot")
    put = slot.find(f"{{{UPLOAD}}}put") if slot is not None else None
    get = slot.find(f"{{{UPLOAD}}}get") if slot is not None else None
    if put is None or get is None:
        raise Failed(f"{service.jid} does not say where to put the file")
    headers = tuple(
        (one.get("name", ""), one.text or "")
        for one in put.iterfind(f"{{{UPLOAD}}}header")
        if one.get("name", "").lower() in _HEADERS
    )[: len(_HEADERS)]
    if any(not value.isprintable() or len(value) > _LONGEST_VALUE for _, value in headers):
        raise Failed(f"{service.jid} asks for a header that cannot be sent")
    for url in (put.get("url", ""), get.get("url", "")):
        _host(url)
    return Slot(put.get("url", ""), get.get("url", ""), headers)


def _host(url: str) -> tuple[str, int, str]:
    """Host, port and the rest of an https address; `Failed` for any other."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 443
    except ValueError:
        host, port, parts = None, 0, urlsplit("")
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= _LONGEST_URL
    if parts.scheme != "https" or not host or parts.username is not None or not plain:
        raise Failed("the upload service names a place that is not https, so nothing was sent there")
    return host, port, f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"


async def _send(slot: Slot, login: Login, context: ssl.SSLContext, file: BinaryIO, size: int, kind: str) -> None:
    host, port, _ = _host(slot.put)
    try:
        raw = await through_proxy(login.proxy, host, port) if login.proxy else await _connected(host, port)
    except Unreachable as error:
        raise Failed(error.fault.text) from None
    except OSError as error:
        raise Failed(faults.of_connection(error, f"{host} port {port}", host).text) from None
    body = _Body(file)
    try:
        await asyncio.to_thread(_put, raw, slot, login.pins, context, body, size, kind)
    finally:
        body.unwanted.set()
        raw.close()


class _Body:
    """What the thread reads from, until nobody waits for it any more."""

    def __init__(self, file: BinaryIO) -> None:
        self.unwanted = threading.Event()
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if self.unwanted.is_set():
            raise TimeoutError("nobody waits for it any more")
        return self._file.read(size)


async def _connected(host: str, port: int) -> socket.socket:
    return await asyncio.to_thread(socket.create_connection, (host, port), _EACH_STEP)


def _put(
    raw: socket.socket,
    slot: Slot,
    pins: tuple[str, ...],
    context: ssl.SSLContext,
    body: "_Body",
    size: int,
    kind: str,
) -> None:
    host, port, path = _host(slot.put)
    raw.settimeout(_EACH_STEP)
    http_connection = http.client.HTTPConnection(host, port, timeout=_EACH_STEP)
    try:
        with same_trust(context).wrap_socket(raw, server_hostname=host) as secure:
            _check_pin(secure, pins, host)
            http_connection.sock = secure
            http_connection.request(
                "PUT", path, body, {"Content-Type": kind, "Content-Length": str(size), **dict(slot.headers)}
            )
            answer = http_connection.getresponse()
            if answer.status not in (200, 201, 204):
                raise Failed(f"{host} did not take the file (HTTP status {answer.status})")
    except (OSError, http.client.HTTPException) as error:
        found = error if isinstance(error, OSError) else OSError(type(error).__name__)
        raise Failed(faults.of_connection(found, f"{host} port {port}", host).text) from None


def _check_pin(secure: ssl.SSLSocket, pins: tuple[str, ...], host: str) -> None:
    """An account that trusts keys and not authorities trusts none for its files either."""
    if not pins:
        return
    from amon.xmpp.certificates import pin_of

    shown = pin_of(secure.getpeercert(True) or b"")
    if shown not in pins:
        raise Failed(faults.of_pin(shown, host).text)
