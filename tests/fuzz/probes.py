"""Targets for what probes hear from strangers: ICMP, answers of name, time and web servers, certificates, AS tables."""

import asyncio

import dns.message

from amon.text import hidden
from modules.probe import dns as question
from modules.probe import icmp, ntp, streams
from modules.probe.asn import read_table
from modules.probe.http import Http, Settings, _Exchange
from modules.probe.shape import LINE_MOST, Stop, Trial
from tests.fuzz.target import Target, must, text_of
from tests.modules.probe.probeworlds import world

_QUERY = dns.message.make_query("www.example.org", "A", id=0x3030)


def can_be_shown(text: str) -> bool:
    return not any(map(hidden, text))


def icmp_messages(data: bytes) -> None:
    """Whatever comes is an echo, or none."""
    for version in (4, 6):
        for reply in (True, False):
            echo = icmp.read_echo(version, data, reply=reply)
            must(echo is None or (echo.nonce is None) == (echo.size < icmp.TOKEN.size), "a nonce is whole or not there")
    carried = icmp.without_header(data)
    must(carried is None or len(carried) < len(data), "a header has a length")


def dns_answers(data: bytes) -> None:
    """An answer to this very question, or none; all its records can be told."""
    answer = question.read(b"00" + data[2:], _QUERY)
    if answer is None:
        return
    trial = Trial(question.Dns(target="x"), world())
    question._note(answer, len(data), "udp", 0.0, trial)
    known = trial.known
    must(len(known.answers) <= question.ANSWERS_MOST, "records are bounded")
    must(all(len(one) <= LINE_MOST and can_be_shown(one) for one in known.answers), "records can be shown")


def ntp_answers(data: bytes) -> None:
    """Numbers that can be reckoned with, or nothing."""
    token = int.from_bytes(data[24:32], "big")
    answer = ntp.read(data, token, 1.7e9)
    if answer is not None:
        made = ntp.sample(answer, 1.7e9, 1.7e9 + 0.01, 1e-6)
        must(made is None or (abs(made.offset) < ntp.ERA and made.delay > 0), "an offset is within an era")
        must(can_be_shown(ntp.reference_of(answer, "192.0.2.1")), "a reference can be shown")


def http_answers(data: bytes) -> None:
    """A response, or a reason why it is none; never more of it than was asked for."""
    found = asyncio.run(_answered(data))
    must(found.size <= 1000, "a body is bounded")
    must(can_be_shown(found.server) and can_be_shown(found.kind), "headers can be shown")


async def _answered(data: bytes) -> Http:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    trial = Trial(Http(target="x"), world())
    exchange = _Exchange(reader, trial)
    h11 = exchange._h11
    exchange.machine.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    exchange.machine.send(h11.EndOfMessage())
    try:
        await exchange.run(Settings(body_most=1000, expect="ab"))
    except Stop as stop:
        must(stop.state == "failed", "a broken answer is a failure")
    return trial.known


def certificates(data: bytes) -> None:
    """What is in it, or nothing."""
    found = streams.read_certificate(data, 1.7e9)
    must(len(found.names) <= 20 and all(map(can_be_shown, found.names)), "names can be shown")


def asn_tables(data: bytes) -> None:
    """Every line is an entry or junk, and what was read can be asked."""
    lines = data.split(b"\n")
    table = read_table(lines)
    must(table.prefixes + table.junk <= len(lines), "no line counts twice")
    must(all(can_be_shown(one.text) for one in table.problems), "junk can be shown")
    for address in ("192.0.2.1", "2001:db8::1", text_of(data[:40])):
        asn, name = table.of(address)
        must(0 <= asn < 2**32 and can_be_shown(name), "an AS has a number")


_HTTP = (
    "HTTP/1.1 200 OK\r\n", "HTTP/1.1 302 Found\r\n", "Location: ", "Content-Length: ", "Transfer-Encoding: chunked\r\n",
    "\r\n\r\n", "\r\n", "0\r\n\r\n", "5\r\nhello\r\n", "HTTP/1.0 100 Continue\r\n\r\n", "\x00",
)  # fmt: skip
_TABLE = ("192.0.2.0/24", "\t", "64500", "AS", "\n", "2001:db8::/32", "/", "{", "_", "#", "0", "/33", ":", ".")

TARGETS = (
    Target("icmp", icmp_messages, ("\x08\x00", "\x00\x00", "\x03", "E\x00"), 4),
    Target("dns", dns_answers, ("\x00\x01", "\xc0\x0c", "\x81\x80", "\x03www", "\x00"), 12),
    Target("ntp", ntp_answers, ("\x24", "\x00" * 8), 4),
    Target("http", http_answers, _HTTP, 20),
    Target("certificate", certificates, (), 8),
    Target("asn", asn_tables, _TABLE, 8),
)
