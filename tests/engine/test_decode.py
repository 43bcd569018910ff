"""The decoder against a reader that takes one packet at a time, and by what it must make of named packets."""

import struct
from collections import Counter
from ipaddress import IPv4Address, IPv6Address

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amon.engine.messages import STATES
from amon.engine.packets.decode import decode
from amon.engine.packets.replies import ECHO, ERROR, EXCEEDED, FULL, LOW, NAMED, Replies
from amon.engine.shapes import SNAP
from tests.engine import scalar
from tests.engine.packets import (
    ANYTHING,
    HERE,
    IDENT,
    ROUTER,
    THERE,
    answers,
    received,
    request,
    with_chain,
    with_options,
)  # fmt: skip


def rows_of(replies: Replies) -> dict[int, scalar.Read]:
    """The replies by row, in the words of the slow reader."""
    made = {}
    for at, row in enumerate(replies.row.tolist()):
        source = (int(replies.source_high[at]), int(replies.source_low[at]))
        quoted = (int(replies.quoted_high[at]), int(replies.quoted_low[at]))
        assert replies.stamp[at] == row
        made[row] = scalar.Read(
            "fine", int(replies.kind[at]), int(replies.type[at]), int(replies.code[at]), int(replies.slot[at]),
            int(replies.how[at]), int(replies.nonce[at]), unhalved(source), unhalved(quoted), int(replies.hops[at]),
            int(replies.mtu[at]),
        )  # fmt: skip
    assert list(made) == sorted(made), "in the order they came"
    return made


def unhalved(halves: tuple[int, int]) -> scalar.Address:
    high, low = halves
    return IPv4Address(low & 0xFFFFFFFF) if not high and low >> 32 == 0xFFFF else IPv6Address(high << 64 | low)


def slowly(packets: list[bytes], verified: bool) -> tuple[dict[int, scalar.Read], Counter[str]]:
    """A v6 address that is a mapped one reads as IPv4 in columns."""
    made, counts = {}, Counter[str]()
    for row, packet in enumerate(packets):
        one = scalar.read(packet, IDENT, verified)
        if one.verdict == "fine":
            made[row] = one
        else:
            counts[one.verdict] += 1
    return made, counts


def agree(packets: list[bytes], verified: bool) -> None:
    replies = decode(received(packets, verified), IDENT)
    made, counts = slowly(packets, verified)
    assert rows_of(replies) == made
    for name in ("foreign", "truncated", "bad_checksum", "odd"):
        assert getattr(replies, name) == counts[name], name


@settings(deadline=None, max_examples=300)
@given(st.lists(ANYTHING, max_size=12), st.booleans())
def test_many_packets_at_once_say_what_each_says_alone(packets: list[bytes], verified: bool) -> None:
    agree(packets, verified)


@settings(deadline=None)
@given(st.lists(answers(), min_size=1, max_size=8), st.booleans())
def test_sound_answers_are_read_as_they_are(packets: list[bytes], verified: bool) -> None:
    agree(packets, verified)


def test_kinds_are_what_becomes_of_the_probe() -> None:
    assert [STATES[kind] for kind in (ECHO, ERROR, EXCEEDED)] == ["answered", "unreachable", "hop"]


def one(packet: bytes, verified: bool = False) -> Replies:
    replies = decode(received([packet], verified), IDENT)
    counts = replies.foreign + replies.truncated + replies.bad_checksum + replies.odd
    assert counts + len(replies) == 1, "each packet is counted once"
    return replies


@pytest.mark.parametrize("family", [4, 6])
class TestEitherFamily:
    def test_an_echo_reply_says_slot_nonce_and_who(self, family: int) -> None:
        replies = one(request(family).reply(ttl=57))
        assert (replies.kind[0], replies.how[0], replies.hops[0]) == (ECHO, FULL, 57)
        assert (replies.slot[0], replies.nonce[0]) == (0x00050007, 0x1122334455667788)
        assert (int(replies.source_high[0]), int(replies.source_low[0])) == scalar.halves(THERE[family])

    def test_our_own_request_seen_on_its_way_out_is_none_of_ours(self, family: int) -> None:
        assert one(request(family).packet()).foreign == 1

    def test_a_reply_with_another_id_is_foreign(self, family: int) -> None:
        stranger = scalar.Request(HERE[family], THERE[family], IDENT + 1, 7, 8)
        assert one(stranger.reply()).foreign == 1
        assert one(stranger.error(3 if family == 6 else 11, 0, ROUTER[family])).foreign == 1

    def test_a_wrong_checksum_is_counted_unless_the_kernel_has_checked(self, family: int) -> None:
        packet = bytearray(request(family).reply())
        packet[-1] ^= 0x10
        assert one(bytes(packet)).bad_checksum == 1
        assert len(one(bytes(packet), verified=True)) == 1

    def test_a_wrong_checksum_of_a_stranger_is_foreign(self, family: int) -> None:
        packet = bytearray(scalar.Request(HERE[family], THERE[family], IDENT + 1, 7, 8).reply())
        packet[-1] ^= 0x10
        assert one(bytes(packet)).foreign == 1

    def test_a_long_reply_is_read_from_its_beginning(self, family: int) -> None:
        packet = request(family, size=1400).reply()
        assert len(packet) > SNAP
        assert one(packet).slot[0] == 0x00050007

    def test_padding_of_the_link_does_not_matter(self, family: int) -> None:
        """Ethernet fills short frames up, some cards with whatever was there."""
        assert len(one(request(family, size=16).reply() + b"leaked")) == 1

    def test_padding_hides_no_wrong_checksum(self, family: int) -> None:
        packet = bytearray(request(family).reply())
        packet[-1] ^= 1
        assert one(bytes(packet) + bytes(SNAP)).bad_checksum == 1

    @pytest.mark.parametrize("left", [0, 1, 15])
    def test_a_reply_without_all_of_our_head_is_truncated(self, family: int, left: int) -> None:
        assert one(request(family).reply(payload=request(family).payload()[:left])).truncated == 1

    def test_a_packet_that_is_shorter_than_it_says_is_truncated(self, family: int) -> None:
        assert one(request(family).reply()[:-1]).truncated == 1

    def test_time_exceeded_names_the_router_and_the_target(self, family: int) -> None:
        replies = one(request(family).error(3 if family == 6 else 11, 0, ROUTER[family]))
        assert (replies.kind[0], replies.how[0], replies.slot[0]) == (EXCEEDED, FULL, 0x00050007)
        assert int(replies.source_low[0]) == scalar.halves(ROUTER[family])[1]
        assert int(replies.quoted_low[0]) == scalar.halves(THERE[family])[1]

    def test_reassembly_that_took_too_long_is_no_hop(self, family: int) -> None:
        assert one(request(family).error(3 if family == 6 else 11, 1, THERE[family])).kind[0] == ERROR

    def test_eight_quoted_bytes_name_the_slot(self, family: int) -> None:
        replies = one(request(family).error(3 if family == 6 else 11, 0, ROUTER[family], quoted=8))
        expected = (LOW, 0x0007) if family == 6 else (NAMED, 0x00050007)
        assert (replies.how[0], replies.slot[0]) == expected
        assert replies.nonce[0] == 0

    def test_a_quote_filled_up_with_zeros_has_no_nonce(self, family: int) -> None:
        header = 40 if family == 6 else 20
        quote = request(family).packet()[: header + 8].ljust(128, b"\0")
        replies = one(request(family).error(3 if family == 6 else 11, 0, ROUTER[family], quote=quote))
        assert replies.how[0] == (LOW if family == 6 else NAMED)

    @pytest.mark.parametrize("quoted", [9, 12, 13, 19, 20])
    def test_part_of_a_nonce_is_none(self, family: int, quoted: int) -> None:
        replies = one(request(family).error(3 if family == 6 else 11, 0, ROUTER[family], quoted=quoted))
        assert (replies.how[0] == FULL) == (quoted == 20)
        assert (replies.nonce[0] != 0) == (quoted == 20)

    def test_seven_quoted_bytes_are_too_few(self, family: int) -> None:
        assert one(request(family).error(3 if family == 6 else 11, 0, ROUTER[family], quoted=7)).truncated == 1

    def test_an_error_about_an_answer_is_foreign(self, family: int) -> None:
        quote = request(family).reply()
        assert one(request(family).error(3 if family == 6 else 11, 0, ROUTER[family], quote=quote)).foreign == 1

    def test_a_quote_of_the_other_version_is_odd(self, family: int) -> None:
        quote = request(10 - family).packet()
        assert one(request(family).error(3 if family == 6 else 11, 0, ROUTER[family], quote=quote)).odd == 1

    def test_the_columns_of_no_packets_are_empty(self, family: int) -> None:
        assert len(decode(received([]), IDENT)) == 0
        assert one(request(family).packet()).row.shape == (0,)


@pytest.mark.parametrize(("code", "mtu"), [(4, 1280), (4, 0), (0, 0), (13, 0)])
def test_only_fragmentation_needed_says_an_mtu(code: int, mtu: int) -> None:
    replies = one(request(4).error(3, code, ROUTER[4], rest=1280 if code != 4 else mtu))
    assert (replies.kind[0], replies.mtu[0], replies.code[0]) == (ERROR, mtu, code)


@pytest.mark.parametrize(("said", "mtu"), [(1280, 1280), (70_000, 0xFFFF), (2**32 - 1, 0xFFFF)])
def test_packet_too_big_says_an_mtu(said: int, mtu: int) -> None:
    assert one(request(6).error(2, 0, ROUTER[6], rest=said)).mtu[0] == mtu


@pytest.mark.parametrize("kind", [4, 5])
def test_source_quench_and_redirect_end_no_probe(kind: int) -> None:
    assert one(request(4).error(kind, 0, ROUTER[4])).foreign == 1


@pytest.mark.parametrize("length", [4, 20, 40])
def test_options_are_passed_over_outside_and_in_the_quote(length: int) -> None:
    options = b"\x94\x04\0\0" + bytes(length - 4)
    assert one(with_options(request(4).reply(), options)).slot[0] == 0x00050007
    quote = with_options(request(4).packet(), options)[: 20 + length + 20]
    replies = one(with_options(request(4).error(11, 0, ROUTER[4], quote=quote), options))
    assert (replies.how[0], replies.slot[0]) == (FULL, 0x00050007)


def test_an_error_about_a_later_fragment_is_foreign() -> None:
    quote = bytearray(request(4).packet())
    quote[7] = 1
    assert one(request(4).error(11, 0, ROUTER[4], quote=bytes(quote))).foreign == 1


def test_a_wrong_header_checksum_is_counted() -> None:
    packet = bytearray(with_options(request(4).reply(), bytes(4)))
    packet[21] ^= 1
    assert one(bytes(packet)).bad_checksum == 1


@pytest.mark.parametrize(("offset", "more", "answered"), [(0, True, 1), (1, True, 0), (1, False, 0)])
def test_the_first_fragment_is_enough(offset: int, more: bool, answered: int) -> None:
    whole = request(4, size=1400).reply()
    fields = struct.unpack_from(">BBHHHBBH", whole)
    first = scalar.ipv4(THERE[4], HERE[4], whole[20:124], fields[5], fragment=offset | 0x2000 * more)
    replies = one(first)
    assert (len(replies), replies.foreign) == (answered, 1 - answered)


def test_the_first_fragment_is_enough_in_ipv6_too() -> None:
    whole = request(6, size=1400).reply()
    for more, fragment in ((1, b"\0\0\x01"), (0, b"\0\0\x09")):
        first = with_chain(whole[:100], [(44, fragment + bytes(4))])
        assert len(one(first)) == more


@pytest.mark.parametrize("number", [0, 43, 60, 135, 51, 44])
def test_extension_headers_are_passed_over_outside_and_in_the_quote(number: int) -> None:
    chain = [(number, bytes(7) if number == 44 else b"\x02" + bytes(14) if number == 51 else b"\x01" + bytes(14))]
    assert one(with_chain(request(6).reply(), chain)).slot[0] == 0x00050007
    quote = with_chain(request(6).packet(), chain)
    assert one(request(6).error(3, 0, ROUTER[6], quote=quote)).nonce[0] == 0x1122334455667788


def test_a_chain_of_headers_is_followed_eight_times() -> None:
    eight = with_chain(request(6).reply(), [(60, bytes(7))] * 8)
    assert len(one(eight)) == 1
    assert one(with_chain(request(6).reply(), [(60, bytes(7))] * 9)).odd == 1


def test_a_chain_that_leads_behind_the_packet_ends_there() -> None:
    assert one(with_chain(request(6).reply(), [(60, b"\xff" + bytes(6))])).truncated == 1
    assert one(with_chain(request(6).reply(), [(0, bytes(7)), (59, bytes(7))])).foreign == 1


@pytest.mark.parametrize("packet", [b"", b"\0", b"\x50" * 100, b"\xff" * 160])
def test_what_is_no_ip_is_odd(packet: bytes) -> None:
    assert one(packet).odd == 1


@pytest.mark.parametrize("first", [0x40, 0x44])
def test_a_header_shorter_than_any_is_odd(first: int) -> None:
    packet = bytearray(request(4).reply())
    packet[0] = first
    assert one(bytes(packet)).odd == 1


def test_what_was_received_stays_as_it_came() -> None:
    packets = received([with_options(request(4).reply(), bytes(8)) + b"padding", request(6).reply()])
    before = packets.data.copy()
    decode(packets, IDENT)
    assert (packets.data == before).all()


def test_replies_of_both_families_stay_in_the_order_they_came() -> None:
    several = [request(4 + 2 * (slot % 2), slot).reply() for slot in range(20)]
    several[5:5] = [request(4, 99).error(11, 0, ROUTER[4]), b"?", request(6, 98).error(1, 0, ROUTER[6])]
    replies = decode(received(several), IDENT)
    assert replies.slot.tolist() == [0, 1, 2, 3, 4, 99, 98, *range(5, 20)]
    assert np.array_equal(replies.stamp, replies.row)
    assert replies.odd == 1
