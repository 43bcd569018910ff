"""ICMP echo as bytes: the checksum that stays, and whatever strangers send."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.probe import icmp

WORD = st.integers(0, 0xFFFF)


def slow_checksum(data: bytes) -> int:
    """RFC 1071, word by word."""
    total = 0
    for high, low in zip(data[::2], data[1::2] + b"\0" * (len(data) % 2), strict=True):
        total += high << 8 | low
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@given(WORD, WORD, st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 255), st.integers(16, 200))
def test_the_checksum_is_right_and_that_of_the_flow(
    ident: int, seq: int, number: int, nonce: int, flow: int, size: int
) -> None:
    message = icmp.request(4, ident, seq, number, nonce, flow, icmp.fill_of("amon probe", size))
    assert len(message) == icmp.HEADER.size + size
    assert slow_checksum(message) in (0, 0xFFFF)  # both are zero in ones' complement
    assert int.from_bytes(message[2:4], "big") == 0xFFFF - icmp.flow_sum(flow)


@given(WORD, WORD, st.integers(0, 2**64 - 1), st.integers(0, 255))
def test_in_ipv6_all_words_but_the_checksum_sum_up_to_the_flow(ident: int, seq: int, nonce: int, flow: int) -> None:
    message = icmp.request(6, ident, seq, seq, nonce, flow, b"x" * 5)
    assert icmp.total(message[:2] + message[4:]) == icmp.flow_sum(flow)


def test_256_flows_have_256_checksums_none_of_them_zero() -> None:
    sums = {icmp.flow_sum(flow) for flow in range(256)}
    assert len(sums) == 256
    assert not sums & {0, 0xFFFF}


@pytest.mark.parametrize("version", [4, 6])
def test_what_was_sent_is_read_from_the_reply_and_from_a_quotation(version: int) -> None:
    message = icmp.request(version, 7, 8, 9, 10, 0, b"")
    assert icmp.read_echo(version, message, reply=False) == icmp.Echo(7, 8, 9, 10, 16)
    reply = bytes([icmp.ECHO_REPLY[version]]) + message[1:]
    assert icmp.read_echo(version, reply, reply=True) == icmp.Echo(7, 8, 9, 10, 16)


def test_eight_quoted_bytes_tell_id_and_number_only() -> None:
    message = icmp.request(4, 7, 8, 9, 10, 0, b"")
    assert icmp.read_echo(4, message[:8], reply=False) == icmp.Echo(7, 8, None, None, 0)


@pytest.mark.parametrize("data", [b"", b"\x08", b"\x08" * 7, b"\x03" + bytes(30), b"\x00" + bytes(30)])
def test_what_is_no_echo_request_is_none(data: bytes) -> None:
    assert icmp.read_echo(4, data, reply=False) is None


@given(st.binary(max_size=80), st.sampled_from([4, 6]), st.booleans())
def test_reading_survives_anything(data: bytes, version: int, reply: bool) -> None:
    echo = icmp.read_echo(version, data, reply=reply)
    assert echo is None or echo.size == len(data) - 8
    carried = icmp.without_header(data)
    assert carried is None or len(carried) <= len(data) - 20


def test_a_header_with_options_is_skipped_and_one_that_lies_about_its_length_is_not() -> None:
    assert icmp.without_header(bytes([0x46]) + bytes(23) + b"rest") == b"rest"
    assert icmp.without_header(bytes([0x4F]) + bytes(23)) is None
    assert icmp.without_header(bytes([0x44]) + bytes(23)) is None
    assert icmp.without_header(bytes([0x65]) + bytes(40)) is None


@pytest.mark.parametrize(
    ("version", "kind", "code", "text"),
    [
        (4, 11, 0, "TTL exceeded"),
        (4, 3, 1, "host unreachable"),
        (4, 3, 13, "administratively prohibited"),
        (4, 3, 99, "unreachable, code 99"),
        (4, 3, 4, "packet too big"),
        (6, 1, 0, "no route"),
        (6, 2, 0, "packet too big"),
        (6, 3, 1, "reassembly time exceeded"),
        (6, 4, 1, "ICMP type 4, code 1"),
    ],
)
def test_errors_have_words(version: int, kind: int, code: int, text: str) -> None:
    assert icmp.text_of(version, kind, code) == text


def test_the_payload_says_who_sends_it() -> None:
    assert icmp.fill_of("amon probe", 40) == b"amon probe amon probe am"
    assert icmp.fill_of("amon probe", 16) == b""
    assert struct.calcsize("!IQHH") == 16
