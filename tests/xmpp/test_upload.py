"""Uploads (XEP-0363): only over https with the account's trust, with no header it should not send, within limits."""

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest

from admin_console.server.certificate import Certificate, certificate
from amon.errors import Failed
from amon.xmpp.certificates import pin_of
from amon.xmpp.faults import StanzaError
from amon.xmpp.login import Login
from amon.xmpp.tls import Trusting, same_trust, tls_context
from amon.xmpp.upload import UPLOAD, upload
from tests.xmpp.local import LocalServer
from tests.xmpp.proxies import TinyProxy

BODY = b"what is in the file " * 20_000
GET = "https://files.example.org/get/cern.txt"


class Web(LocalServer):
    """An https server that answers as it is told and remembers what came."""

    def __init__(
        self, shown: Certificate, answer: bytes = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
    ) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(shown.chain, shown.key)
        tls.set_alpn_protocols(["http/1.1"])
        super().__init__(tls)
        self.answer = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
        self.head = b""
        self.body = b""

    async def visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = await reader.readuntil(b"\r\n\r\n")
        self.body = await reader.readexactly(len(BODY))
        writer.write(self.answer)
        await writer.drain()


@dataclass
class Service:
    """A server as its account asks it. put: where files go."""

    put: str = ""
    get: str = GET
    headers: str = ""
    most: str = "1000000"
    items: str = '<item jid="rooms.example.org"/><item jid="upload.example.org"/>'
    refuses: str = ""
    asked: list[tuple[str | None, str]] = field(default_factory=list)

    async def ask(self, to: str | None, kind: str, content: Element, within: float | None = None) -> Element:
        tag = content.tag.rpartition("}")[2] + content.tag.partition("}")[0].rpartition("#")[2]
        self.asked.append((to, tag))
        if tag == "queryitems" and to == "example.org":
            return self._iq(f'<query xmlns="http://jabber.org/protocol/disco#items">{self.items}</query>')
        if tag == "queryinfo" and to == "upload.example.org":
            form = (
                f'<x xmlns="jabber:x:data"><field var="FORM_TYPE"><value>{UPLOAD}</value></field>'
                f'<field var="max-file-size"><value>{self.most}</value></field></x>'
            )
            info = f'<feature var="{UPLOAD}"/>{form}'
            return self._iq(f'<query xmlns="http://jabber.org/protocol/disco#info">{info}</query>')
        if content.tag == f"{{{UPLOAD}}}request" and not self.refuses:
            put = f'<put url="{self.put}">{self.headers}</put><get url="{self.get}"/>'
            return self._iq(f'<slot xmlns="{UPLOAD}">{put}</slot>')
        raise StanzaError(self.refuses or "service-unavailable", f"{to}: no")

    def _iq(self, inside: str) -> Element:
        return fromstring(f'<iq xmlns="jabber:client">{inside}</iq>')


@pytest.fixture
def shown(tmp_path: Path) -> Certificate:
    return certificate(tmp_path / "certs", ("files.example.org",), "127.0.0.1")


@pytest.fixture
async def web(shown: Certificate) -> AsyncIterator[Web]:
    async with Web(shown) as server:
        yield server


@pytest.fixture
def service(web: Web) -> Service:
    return Service(put=f"https://127.0.0.1:{web.port}/put/cern.txt?x=1")


LOGIN = Login("cern@agents.example.org", "secret")


async def put(service: Service, shown: Certificate, login: Login = LOGIN, size: int = len(BODY)) -> str:
    context = tls_context(shown.ca)
    async with asyncio.timeout(20):
        return await upload(service.ask, login, context, "cern.txt", io.BytesIO(BODY), size, "text/plain")


async def test_a_file_is_put_where_the_server_says_and_its_link_is_told(
    service: Service, web: Web, shown: Certificate
) -> None:
    assert await put(service, shown) == GET
    assert web.head.startswith(b"PUT /put/cern.txt?x=1 HTTP/1.1\r\n")
    assert f"Content-Length: {len(BODY)}\r\n".encode() in web.head
    assert b"Content-Type: text/plain\r\n" in web.head
    assert web.body == BODY


async def test_only_the_headers_of_the_specification_are_sent(service: Service, web: Web, shown: Certificate) -> None:
    service.headers = (
        '<header name="Authorization">Bearer x</header><header name="Host">evil</header>'
        '<header name="X-Mine">1</header><header name="cookie">a=b</header>'
    )
    await put(service, shown)
    assert b"Authorization: Bearer x\r\n" in web.head
    assert b"cookie: a=b\r\n" in web.head
    assert b"evil" not in web.head
    assert b"X-Mine" not in web.head


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"put": "http://127.0.0.1/x"}, "not https"),
        ({"put": "file:///etc/passwd"}, "not https"),
        ({"put": "https://user:pw@127.0.0.1/x"}, "not https"),
        ({"put": "https://127.0.0.1:99999/x"}, "not https"),
        ({"put": "https://127.0.0.1/a b"}, "not https"),
        ({"put": "https:///x"}, "not https"),
        ({"get": "javascript:alert(1)"}, "not https"),
        ({"get": "https://x.example.org/\u202e"}, "not https"),
        ({"get": f"https://x.example.org/{'x' * 3000}"}, "not https"),
        ({"headers": '<header name="Cookie">a&#13;&#10;Host: evil</header>'}, "a header that cannot be sent"),
        ({"headers": f'<header name="Cookie">{"x" * 9000}</header>'}, "a header that cannot be sent"),
        ({"most": "1000"}, "upload.example.org takes 1000 B at most"),
        ({"items": ""}, "offers no upload"),
        ({"items": '<item jid="upload.evil.example"/>'}, "offers no upload"),
        ({"refuses": "resource-constraint"}, "has no room left for this account today"),
        ({"refuses": "not-acceptable"}, "takes no file of this size or kind"),
        ({"refuses": "forbidden"}, "does not let this account upload"),
        ({"refuses": "internal-server-error"}, "upload.example.org: no"),
    ],
)
async def test_what_a_server_may_not_ask_or_does_not_take_is_said_in_words_and_nothing_is_sent(
    service: Service, web: Web, shown: Certificate, change: dict[str, Any], why: str
) -> None:
    with pytest.raises(Failed, match=why):
        await put(replace(service, **change), shown)
    assert web.head == b""


async def test_a_server_of_another_authority_gets_nothing(service: Service, web: Web, tmp_path: Path) -> None:
    other = certificate(tmp_path / "other", ("files.example.org",), "127.0.0.1")
    with pytest.raises(Failed, match="is signed by a CA that is not trusted here"):
        await put(service, other)
    assert web.head == b""


async def test_an_account_that_pins_its_server_sends_files_to_that_key_only(
    service: Service, web: Web, shown: Certificate
) -> None:
    first, end, _ = shown.chain.read_text().partition("-----END CERTIFICATE-----")
    mine = pin_of(ssl.PEM_cert_to_DER_cert(first + end))
    assert await put(service, shown, replace(LOGIN, pins=(mine,))) == GET
    web.head = b""
    with pytest.raises(Failed, match="key"):
        await put(service, shown, replace(LOGIN, pins=(f"sha256/{'A' * 43}=",)))
    assert web.head == b""


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_an_account_with_a_proxy_goes_through_it_and_the_proxy_sees_nothing(
    service: Service, web: Web, shown: Certificate, kind: str
) -> None:
    async with TinyProxy(kind, web.port) as proxy:
        assert await put(service, shown, replace(LOGIN, proxy=proxy.url)) == GET
        assert proxy.asked == [f"127.0.0.1:{web.port}"]
        assert b"what is in the file" not in proxy.seen
    assert web.body == BODY


ANSWERS: dict[str, tuple[bytes, str]] = {
    "refusal": (b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", "HTTP status 413"),
    "redirect": (b"HTTP/1.1 307 Over There\r\nLocation: https://evil.example/\r\n\r\n", "HTTP status 307"),
    "nothing": (b"", "127.0.0.1 port"),
    "junk": (b"\0\xff junk\r\n\r\n", "127.0.0.1 port"),
    "endless head": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000, "127.0.0.1 port"),
}


@pytest.mark.parametrize("answer", ANSWERS)
async def test_whatever_is_answered_instead_of_yes_is_no(
    service: Service, web: Web, shown: Certificate, answer: str
) -> None:
    web.answer, why = ANSWERS[answer]
    with pytest.raises(Failed, match=why):
        await put(service, shown)


async def test_who_does_not_wait_any_more_leaves_no_thread_that_goes_on_sending(
    service: Service, shown: Certificate
) -> None:
    reads: list[int] = []
    go_on = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            reads.append(1)
            loop.call_soon_threadsafe(go_on.set)
            return b"x" * 16

    task = asyncio.create_task(
        upload(service.ask, LOGIN, tls_context(shown.ca), "x.txt", Slow(), 900_000, "text/plain")
    )
    async with asyncio.timeout(20):
        await go_on.wait()
        task.cancel()
        await asyncio.wait([task])
        await loop.shutdown_default_executor()
    before = len(reads)
    assert task.cancelled()
    assert len(reads) == before


def test_the_trust_of_a_context_is_known_or_nobody_is_trusted(shown: Certificate) -> None:
    trusted: Callable[[ssl.SSLContext], list[bytes]] = lambda context: context.get_ca_certs(binary_form=True)  # noqa: E731
    context = tls_context(shown.ca)
    assert isinstance(context, Trusting)
    assert trusted(same_trust(context)) == trusted(context) != []
    with pytest.raises(Failed, match="nobody knows whom"):
        same_trust(ssl.create_default_context())
