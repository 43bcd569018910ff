"""Questions to a name server that is scripted: answers, lies, truncation, silence."""

import asyncio
import socket
from collections.abc import Callable, Sequence

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.probe import dns as probe
from modules.probe.dns import Dns, Settings, measure
from tests.modules.probe.probeworlds import tcp_server, udp_server, world

A = ("www.example.org.", 300, "IN", "A", "192.0.2.1", "192.0.2.2")


def answer(data: bytes, *rows: tuple[object, ...], code: str = "NOERROR", flags: int = 0) -> bytes:
    reply = dns.message.make_response(dns.message.from_wire(data), recursion_available=True)
    reply.set_rcode(dns.rcode.from_text(code))
    reply.flags |= flags
    reply.answer.extend(dns.rrset.from_text(*row) for row in rows)  # type: ignore[arg-type]
    return reply.to_wire(max_size=65_535)


async def ask(reply: Callable[[bytes], Sequence[bytes]], **settings: object) -> Dns:
    async with udp_server(reply) as port:
        given = {"name": "www.example.org", "type": "A", "timeout": 2.0, **settings, "port": port}
        return await measure("127.0.0.1", Settings(**given), world())  # type: ignore[arg-type]


async def test_an_answer_is_told_with_code_records_and_time() -> None:
    found = await ask(lambda data: [answer(data, A, flags=dns.flags.AA)])
    assert found.good, found.explain()
    assert (found.code, found.records, found.ttl, found.transport) == ("NOERROR", 2, 300, "udp")
    assert set(found.answers) == {"192.0.2.1", "192.0.2.2"}
    assert found.flags == "QR AA RD RA"
    assert found.rtt is not None
    assert 0 < found.rtt <= found.seconds
    assert "www.example.org A: NOERROR in" in str(found)


async def test_another_code_than_wanted_is_wrong() -> None:
    found = await ask(lambda data: [answer(data, code="NXDOMAIN")])
    assert (found.state, found.reason, found.code) == ("wrong", "NXDOMAIN instead of NOERROR", "NXDOMAIN")
    assert (await ask(lambda data: [answer(data, code="NXDOMAIN")], code="NXDOMAIN")).good


async def test_no_records_are_wrong_unless_they_are_wanted() -> None:
    assert (await ask(lambda data: [answer(data)])).reason == "there are no such records"
    assert (await ask(lambda data: [answer(data)], empty=True)).good


async def test_an_expected_record_must_be_there() -> None:
    assert (await ask(lambda data: [answer(data, A)], answers=("192.0.2.2",))).good
    found = await ask(lambda data: [answer(data, A)], answers=("192.0.2.2", "192.0.2.3"))
    assert (found.state, found.reason) == ("wrong", "192.0.2.3 is not in the answer")


async def test_authority_is_asked_for() -> None:
    assert (await ask(lambda data: [answer(data, A)], authoritative=True)).reason == "the answer is not authoritative"


async def test_silence_is_a_failure() -> None:
    found = await ask(lambda data: [], timeout=0.1)
    assert (found.state, found.reason, found.code) == ("failed", "no answer in 0.1 s", "")


async def test_a_port_where_nobody_listens_is_a_failure() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    found = await measure("127.0.0.1", Settings(name="x", port=port, timeout=2), world())
    assert (found.state, found.reason) == ("failed", "connection refused")


def other_id(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


async def test_answers_with_a_wrong_id_or_question_are_passed_over_and_counted() -> None:
    def lie(data: bytes) -> list[bytes]:
        other = dns.message.make_query("other.example", "A", id=int.from_bytes(data[:2], "big")).to_wire()
        return [other_id(answer(data, A)), answer(other, A), b"\0", b"\0" * 11, data, answer(data, A)]

    found = await ask(lie)
    assert found.good
    assert found.bogus == 5


async def test_a_flood_of_lies_ends() -> None:
    found = await ask(lambda data: [other_id(answer(data, A))] * (probe.BOGUS_MOST + 10))
    assert found.state == "failed"
    assert found.bogus <= probe.BOGUS_MOST


async def test_answers_are_bounded_in_number_and_length_and_show_no_control_characters() -> None:
    rows = [
        ("www.example.org.", 300, "IN", "TXT", '"' + "\\007" * 200 + '"'),
        *[(*A[:4], f"10.0.0.{one}") for one in range(200)],
    ]
    found = await ask(lambda data: [answer(data, *rows)])
    assert found.records == 201
    assert len(found.answers) == probe.ANSWERS_MOST
    assert all(len(one) <= 300 and one.isprintable() for one in found.answers)


async def both(over_udp: Callable[[bytes], bytes], over_tcp: Callable[[bytes], bytes], **settings: object) -> Dns:
    """A server on one port of both."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(2), "big")
        writer.write(over_tcp(await reader.readexactly(length)))
        await writer.drain()
        writer.write_eof()
        await reader.read()

    async with udp_server(lambda data: [over_udp(data)]) as port, tcp_server(serve, port):
        given = {"name": "www.example.org", "type": "A", "timeout": 2.0, **settings, "port": port}
        return await measure("127.0.0.1", Settings(**given), world())  # type: ignore[arg-type]


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


async def test_a_truncated_answer_is_asked_for_over_tcp() -> None:
    found = await both(lambda data: answer(data, flags=dns.flags.TC), lambda data: framed(answer(data, A)))
    assert found.good, found.explain()
    assert (found.truncated, found.transport, found.records) == (True, "tcp", 2)
    assert found.connect is not None


async def test_over_tcp_only_where_that_is_wanted() -> None:
    found = await both(lambda data: b"", lambda data: framed(answer(data, A)), transport="tcp")
    assert (found.good, found.transport, found.truncated) == (True, "tcp", False)


async def test_truncated_over_tcp_is_wrong() -> None:
    found = await both(lambda data: b"", lambda data: framed(answer(data, A, flags=dns.flags.TC)), transport="tcp")
    assert (found.state, found.reason) == ("wrong", "truncated even over TCP")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", "the server closed after 0 B of an answer"),
        (b"\x00", "the server closed after 1 B of an answer"),
        (b"\xff\xff" + bytes(100), "the server closed after 100 B of an answer"),
        (b"\x00\x00", "the 0 B that came are no answer to it"),
        (b"\x00\x0c" + bytes(12), "the 12 B that came are no answer to it"),
    ],
)
async def test_broken_tcp_answers_are_failures(said: bytes, reason: str) -> None:
    found = await both(lambda data: b"", lambda data: said, transport="tcp")
    assert (found.state, found.reason) == ("failed", reason)


async def test_an_address_is_asked_for_by_its_reverse_name() -> None:
    asked: list[str] = []

    def reply(data: bytes) -> list[bytes]:
        query = dns.message.from_wire(data)
        asked.append(query.question[0].name.to_text())
        return [answer(data, (asked[0], 60, "IN", "PTR", "www.example.org."))]

    found = await ask(reply, name="192.0.2.1", type="PTR", answers=("WWW.example.org",))
    assert found.good
    assert asked == ["1.2.0.192.in-addr.arpa."]


@pytest.mark.parametrize("name", ["a..b", "x" * 64, "x." * 130])
async def test_what_is_no_name_cannot_be_asked_for(name: str) -> None:
    found = await measure("127.0.0.1", Settings(name=name), world())
    assert found.state == "unmeasured"
    assert "cannot be asked for" in found.reason


QUERY = dns.message.make_query("www.example.org", "A", id=7)
WHOLE = answer(QUERY.to_wire(), A)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_none(data: bytes) -> None:
    assert probe.read(data, QUERY) is None


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), st.integers(0, len(WHOLE)))
def test_an_answer_with_a_wrong_byte_or_cut_short_is_read_or_not_but_never_raises(
    at: int, byte: int, keep: int
) -> None:
    probe.read((WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :])[:keep], QUERY)


def test_names_that_point_at_themselves_are_no_answer() -> None:
    head = WHOLE[:12]
    assert probe.read(head[:4] + b"\0\1\0\0\0\0\0\0" + b"\xc0\x0c" + b"\0\1\0\1", QUERY) is None
