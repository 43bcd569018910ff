"""Web pages: phases, redirections, certificates, and servers that are slow, endless or no servers."""

import asyncio
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.probe.http import Http, Settings, measure, url_of
from tests.modules.probe.certificates import Authority
from tests.modules.probe.probeworlds import Serve, tcp_server, world

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nServer: test/1\r\nContent-Length: 11\r\n\r\nhello world"
NAMES = {"www.example.org": ["127.0.0.1"]}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def answers(*replies: bytes, heard: list[bytes] | None = None, closes: bool = True) -> Serve:
    """One after the other, a connection each; the last again and again."""
    left = list(replies)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if heard is not None:
            heard.append(request)
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()
        if closes and writer.can_write_eof():
            writer.write_eof()
        await reader.read()

    return serve


async def get(
    serve: Serve, path: str = "/", *, host: str = "127.0.0.1", context: object = None, **settings: object
) -> Http:
    async with tcp_server(serve, ssl=context) as port:
        url = f"http{'s' if context else ''}://{host}:{port}{path}"
        return await measure(url, Settings(**{"timeout": 3.0, **settings}), world(NAMES))  # type: ignore[arg-type]


async def test_a_page_is_told_phase_by_phase() -> None:
    heard: list[bytes] = []
    found = await get(answers(OK, heard=heard), "/x?y=1", host="www.example.org")
    assert found.good, found.explain()
    assert (found.status, found.size, found.whole, found.kind, found.server) == (200, 11, True, "text/html", "test/1")
    phases = (found.name, found.connect, found.first_byte, found.body)
    assert all(one is not None and one >= 0 for one in phases)
    assert sum(one or 0.0 for one in phases) <= found.seconds
    assert (found.tls, found.certificate_days) == (None, None)
    lines = heard[0].decode().splitlines()
    assert lines[0] == "GET /x?y=1 HTTP/1.1"
    assert lines[1].startswith("Host: www.example.org:")
    assert {"User-Agent: amon-probe", "Accept-Encoding: identity", "Connection: close"} <= set(lines)


async def test_another_status_is_wrong_unless_it_is_wanted() -> None:
    reply = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    found = await get(answers(reply))
    assert (found.state, found.reason, found.status) == ("wrong", "status 404", 404)
    assert (await get(answers(reply), status=(404, 410))).good


async def test_the_expected_text_is_found_across_pieces() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"5\r\nhello\r\n", b"1\r\n \r\n", b"5\r\nworld\r\n", b"0\r\n\r\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    found = await get(serve, expect="lo wo")
    assert (found.good, found.found, found.whole, found.size) == (True, True, True, 11)
    assert (await get(answers(OK), expect="goodbye")).reason == '"goodbye" is not in the 11 B that were read'


async def test_redirections_are_followed_counted_and_limited() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n"
    heard: list[bytes] = []
    found = await get(answers(moved, moved, OK, heard=heard))
    assert (found.good, found.redirects, found.status) == (True, 2, 200)
    assert found.url.endswith("/next")
    assert [line.split()[1] for line in heard] == [b"/", b"/next", b"/next"]
    found = await get(answers(moved), redirects=3)
    assert (found.state, found.reason) == ("wrong", "status 302 after 3 redirections")
    found = await get(answers(moved), redirects=0, status=(302,))
    assert (found.good, found.redirects) == (True, 0)


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("file:///etc/passwd", "is neither http nor https"),
        ("http://user:secret@127.0.0.1/", "has credentials in it"),
        ("http://[::1", ""),
        ("http://127.0.0.1:99999/", ""),
        ("http://" + "x" * 3000, "is too long for a URL"),
    ],
)
async def test_a_redirection_to_what_is_no_url_ends_there(location: str, why: str) -> None:
    found = await get(answers(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()))
    assert found.state == "wrong"
    assert found.reason.startswith("it redirects to what " + why)
    assert "secret" not in found.reason


async def test_a_redirection_is_resolved_anew_and_may_be_refused_by_the_resolver() -> None:
    reply = b"HTTP/1.1 302 Found\r\nLocation: http://internal.example/\r\nContent-Length: 0\r\n\r\n"
    found = await get(answers(reply))
    assert (found.state, found.reason) == ("failed", "internal.example: domain name not found")


async def test_a_body_is_read_to_its_limit() -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 500_000
    found = await get(answers(endless, closes=False), body_most=100_000)
    assert (found.good, found.size, found.whole) == (True, 100_000, False)


async def test_a_body_that_ends_early_is_a_failure() -> None:
    found = await get(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"))
    assert (found.state, found.status) == ("failed", 200)
    assert found.reason.startswith("what came is no HTTP: ")


async def test_a_head_request_reads_no_body() -> None:
    heard: list[bytes] = []
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    found = await get(answers(reply, heard=heard), method="HEAD")
    assert (found.good, found.size, found.whole) == (True, 0, True)
    assert heard[0].startswith(b"HEAD / ")


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\n" + b"X-Filler: y\r\n" * 20_000,
        b"HTTP/1.1 200 OK\r\nBroken header\r\n\r\n",
        b"HTTP/1.1 99999 What\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n",
        b"\0" * 1000,
    ],
)
async def test_what_is_no_http_is_a_failure(said: bytes) -> None:
    found = await get(answers(said))
    assert found.state == "failed"
    assert found.reason.startswith("what came is no HTTP")
    assert len(found.reason) <= 300


async def test_interim_responses_are_passed_over_but_not_for_ever() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    found = await get(answers(early * 3 + OK))
    assert found.good
    found = await get(answers(early * 100, closes=False))
    assert (found.state, found.reason) == ("failed", "no response came, but other things")


async def test_a_server_that_is_silent_is_a_failure_with_the_phases_before() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await asyncio.Event().wait()

    found = await get(serve, timeout=0.2)
    assert (found.state, found.reason, found.status) == ("failed", "no answer in 0.2 s", 0)
    assert found.connect is not None
    assert found.first_byte is None


async def test_a_server_that_drips_is_stopped_in_time() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    found = await get(serve, timeout=0.2)
    assert (found.state, found.reason, found.status) == ("failed", "no answer in 0.2 s", 200)
    assert 0 < found.size < 100


async def test_a_closed_port_is_a_failure() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        found = await measure(f"http://127.0.0.1:{sock.getsockname()[1]}/", Settings(), world())
    assert (found.state, found.reason) == ("failed", "connection refused")


async def test_https_is_told_with_its_certificate(authority: Authority) -> None:
    context = authority.server("www.example.org", "127.0.0.1", days=40)
    found = await get(answers(OK), host="www.example.org", context=context, roots=authority.roots)
    assert found.good, found.explain()
    assert found.version.startswith("TLSv1")
    assert found.tls is not None
    assert found.certificate_days == pytest.approx(40, abs=0.1)
    assert found.certificate_names == ("www.example.org", "127.0.0.1")
    assert found.certificate_issuer == "CN=Test Authority"
    assert "certificate 40 d" in str(found)


@pytest.mark.parametrize(
    ("names", "days", "self_signed", "why"),
    [
        (("www.example.org",), -1, False, "certificate: certificate has expired"),
        (("other.example",), 90, False, "certificate: hostname mismatch, certificate is not valid for"),
        (("www.example.org",), 90, True, "certificate: self-signed certificate"),
    ],
)
async def test_a_certificate_that_is_not_right_says_why_and_how_long_it_lasts(
    authority: Authority, names: tuple[str, ...], days: float, self_signed: bool, why: str
) -> None:
    context = authority.server(*names, days=days, self_signed=self_signed)
    heard: list[bytes] = []
    found = await get(answers(OK, heard=heard), host="www.example.org", context=context, roots=authority.roots)
    assert found.state == "wrong"
    assert found.reason.startswith(why)
    assert found.certificate_days == pytest.approx(days, abs=0.1)
    assert heard == []  # nothing was asked of a server that nobody vouches for
    assert found.status == 0


async def test_a_certificate_that_soon_ends_is_wrong(authority: Authority) -> None:
    context = authority.server("127.0.0.1", days=5)
    found = await get(answers(OK), context=context, roots=authority.roots)
    assert (found.state, found.reason, found.status) == ("wrong", "the certificate ends in 5.0 d", 200)
    assert (await get(answers(OK), context=context, roots=authority.roots, days_least=2)).good


async def test_another_server_name_may_be_asked_for(authority: Authority) -> None:
    context = authority.server("www.example.org")
    heard: list[bytes] = []
    found = await get(answers(OK, heard=heard), context=context, roots=authority.roots, server_name="www.example.org")
    assert found.good, found.explain()
    assert b"Host: www.example.org\r\n" in heard[0]


async def test_headers_are_sent_along() -> None:
    heard: list[bytes] = []
    await get(answers(OK, heard=heard), headers={"X-Probe": "yes", "User-Agent": "other"})
    assert b"X-Probe: yes\r\n" in heard[0]
    assert b"User-Agent: other\r\n" in heard[0]


async def test_a_page_that_takes_too_long_is_wrong_where_that_is_asked_for() -> None:
    assert (await get(answers(OK), seconds_most=0.0)).state == "wrong"


@pytest.mark.parametrize(
    "target", ["ftp://x.org", "http://u:p@x.org/", "http://", "http://x.org:0x1/", "http://x\n.org"]
)
async def test_what_is_no_url_is_not_asked(target: str) -> None:
    found = await measure(target, Settings(), world())
    assert found.state == "unmeasured"
    assert found.reason.startswith("this ")


@pytest.mark.parametrize(
    ("text", "host", "port", "path", "authority"),
    [
        ("www.example.org", "www.example.org", 80, "/", "www.example.org"),
        ("https://www.example.org/a b?c=d e", "www.example.org", 443, "/a%20b?c=d%20e", "www.example.org"),
        ("http://[2001:db8::1]:8080/x", "2001:db8::1", 8080, "/x", "[2001:db8::1]:8080"),
        ("http://bücher.example/ü", "xn--bcher-kva.example", 80, "/%C3%BC", "xn--bcher-kva.example"),
        ("https://x.org/%41?q=%20#part", "x.org", 443, "/%41?q=%20", "x.org"),
    ],
)
def test_urls_are_taken_apart(text: str, host: str, port: int, path: str, authority: str) -> None:
    url = url_of(text)
    assert (url.host, url.port, url.path, url.authority) == (host, port, path, authority)


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_a_value_error(text: str) -> None:
    for one in (text, f"http://{text}", f"https://x.org/{text}"):
        try:
            url = url_of(one)
        except ValueError:
            continue
        assert url.path.isascii()
        assert " " not in url.path
        assert url.host
