"""TCP services that answer, stay silent, close, flood or have the wrong certificate."""

import asyncio
import socket
from pathlib import Path

import pytest

from modules.probe import tcp
from modules.probe.tcp import Settings, Tcp, meant, measure
from tests.modules.probe.certificates import Authority
from tests.modules.probe.probeworlds import Serve, tcp_server, world

NAMES = {"www.example.org": ["127.0.0.1"]}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def says(*pieces: bytes, closes: bool = True) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if closes:
            writer.write_eof()
        await reader.read()

    return serve


async def ask(serve: Serve, *, target: str = "127.0.0.1", context: object = None, **settings: object) -> Tcp:
    async with tcp_server(serve, ssl=context) as port:
        return await measure(target, Settings(**{"timeout": 3.0, **settings, "port": port}), world(NAMES))  # type: ignore[arg-type]


async def test_a_connect_is_enough_where_nothing_else_is_asked_for() -> None:
    found = await ask(says(closes=False))
    assert found.good
    assert found.connect is not None
    assert (found.banner, found.first_byte) == ("", None)
    assert f"127.0.0.1 port {found.port}: connect" in str(found)


async def test_a_closed_port_is_a_failure() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        found = await measure("127.0.0.1", Settings(port=sock.getsockname()[1]), world())
    assert (found.state, found.reason, found.connect) == ("failed", "connection refused", None)


async def test_a_banner_is_told_in_clean_letters() -> None:
    found = await ask(says(b"220 mail.example.org ESMTP\x1b[31m\r\nmore\r\n"), banner=True)
    assert found.good
    assert found.banner == "220 mail.example.org ESMTP\ufffd[31m"
    assert found.first_byte is not None


async def test_what_is_sent_and_expected_is_looked_for() -> None:
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+OK ready\r\n")
        heard.extend(await reader.readline())
        writer.write(b"+P")
        await writer.drain()
        writer.write(b"ONG\r\n")
        await reader.read()

    found = await ask(serve, send="PING\\r\\n", expect="PONG")
    assert (found.good, found.found) == (True, True)
    assert bytes(heard) == b"PING\r\n"


async def test_another_answer_is_wrong() -> None:
    found = await ask(says(b"-ERR\r\n"), expect="PONG")
    assert (found.state, found.reason) == ("wrong", '"PONG" is not in the 6 B it said')
    assert found.banner == "-ERR"


async def test_a_service_that_says_nothing_and_closes_is_a_failure() -> None:
    assert (await ask(says(), banner=True)).reason == "it closed and said nothing"


async def test_a_service_that_says_nothing_and_stays_is_a_failure() -> None:
    found = await ask(says(closes=False), banner=True, timeout=0.1)
    assert (found.state, found.reason) == ("failed", "no answer in 0.1 s")
    assert found.connect is not None


async def test_a_flood_is_read_to_its_limit_and_no_further() -> None:
    found = await ask(says(*[b"x" * 65_536] * 40, closes=False), expect="never")
    assert (found.state, found.size) == ("wrong", tcp.READ_MOST)
    assert len(found.banner) <= 300


async def test_an_endless_first_line_is_a_banner_all_the_same() -> None:
    found = await ask(says(b"y" * 5000, closes=False), banner=True)
    assert found.good
    assert found.banner == "y" * 300


async def test_tls_is_told_with_the_days_of_the_certificate(authority: Authority) -> None:
    context = authority.server("www.example.org", days=30)
    found = await ask(
        says(b"hello\n"), target="www.example.org", context=context, tls=True, banner=True, roots=authority.roots
    )
    assert found.good, found.explain()
    assert found.version.startswith("TLS")
    assert found.cipher
    assert found.tls is not None
    assert found.certificate_days == pytest.approx(30, abs=0.1)
    assert found.banner == "hello"


async def test_a_certificate_that_soon_ends_is_wrong(authority: Authority) -> None:
    context = authority.server("127.0.0.1", days=3)
    found = await ask(says(), context=context, tls=True, roots=authority.roots)
    assert (found.state, found.reason) == ("wrong", "the certificate ends in 3.0 d")


@pytest.mark.parametrize(
    ("names", "days", "self_signed", "why"),
    [
        (("127.0.0.1",), -5, False, "certificate: certificate has expired"),
        (("other.example",), 90, False, "certificate: ip address mismatch"),
        (("127.0.0.1",), 90, True, "certificate: self-signed certificate"),
    ],
)
async def test_a_certificate_that_is_not_right_says_why_and_how_long_it_lasts(
    authority: Authority, names: tuple[str, ...], days: float, self_signed: bool, why: str
) -> None:
    context = authority.server(*names, days=days, self_signed=self_signed)
    found = await ask(says(), context=context, tls=True, roots=authority.roots)
    assert found.state == "wrong"
    assert found.reason.startswith(why)
    assert found.certificate_days == pytest.approx(days, abs=0.1)
    trusting = await ask(says(), context=context, tls=True, verify=False)
    assert trusting.good
    assert trusting.certificate_days == pytest.approx(days, abs=0.1)


async def test_what_is_no_tls_is_a_failure() -> None:
    found = await ask(says(b"220 plain text\r\n"), tls=True)
    assert found.state == "failed"
    assert found.reason.startswith("TLS: ")


async def test_a_server_that_is_silent_in_the_handshake_is_a_failure() -> None:
    found = await ask(says(closes=False), tls=True, timeout=0.1)
    assert (found.state, found.reason, found.tls) == ("failed", "no answer in 0.1 s", None)


async def test_roots_that_are_not_there_say_nothing_about_the_target(tmp_path: Path) -> None:
    found = await ask(says(), tls=True, roots=tmp_path / "none.pem")
    assert found.state == "unmeasured"
    assert "no such file" in found.reason


async def test_a_slow_connect_is_wrong_where_that_is_asked_for() -> None:
    assert (await ask(says(), connect_most=0.0)).state == "wrong"


async def test_the_own_address_is_the_one_that_was_asked_for() -> None:
    peers: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[0])

    async with tcp_server(serve) as port:
        await measure("127.0.0.1", Settings(port=port, banner=True), world(sources=("::1", "127.0.0.7")))
    assert peers == ["127.0.0.7"]


@pytest.mark.parametrize(
    ("text", "data"), [("a\\r\\n", b"a\r\n"), ("\\\\n\\t", b"\\n\t"), ("end\\", b"end\\"), ("\\x", b"x"), ("", b"")]
)
def test_escapes_are_meant(text: str, data: bytes) -> None:
    assert meant(text) == data
