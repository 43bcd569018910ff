"""Sums over columns against RFC 1071, one packet at a time."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.engine.packets.checksum import FLOWS, address_sum, checksum, flow_checksums, halves, text_sum
from tests.engine import scalar

NUMBERS = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20)


@given(st.binary(min_size=1, max_size=200).filter(any))
def test_a_text_has_the_checksum_of_the_rfc(text: bytes) -> None:
    assert checksum(np.array([text_sum(text)], np.uint64))[0] == scalar.checksum(text)


@given(NUMBERS)
def test_halves_are_as_good_as_words(numbers: list[int]) -> None:
    column = np.array(numbers, np.uint64)
    for number, total in zip(numbers, halves(column).tolist(), strict=True):
        assert total % 0xFFFF == sum(struct.unpack(">4H", struct.pack(">Q", number))) % 0xFFFF


@given(NUMBERS, NUMBERS)
def test_the_sum_of_an_address_is_that_of_its_words(highs: list[int], lows: list[int]) -> None:
    count = min(len(highs), len(lows))
    high, low = np.array(highs[:count], np.uint64), np.array(lows[:count], np.uint64)
    for row in range(count):
        words = struct.unpack(">8H", struct.pack(">QQ", highs[row], lows[row]))
        assert address_sum(high, low, 6)[row] == sum(words) % 0xFFFF
        assert address_sum(high, low, 4)[row] == sum(words[6:]) % 0xFFFF


@pytest.mark.parametrize("ident", [0, 1, 0x1234, 0xFFFD, 0xFFFE, 0xFFFF])
def test_every_flow_has_a_checksum_of_its_own_and_none_is_a_zero(ident: int) -> None:
    made = flow_checksums(ident).tolist()
    assert len(set(made)) == FLOWS == len(made)
    assert all(0 < one < 0xFFFF for one in made)


def test_swapping_bytes_is_multiplying_by_256() -> None:
    words = np.arange(0xFFFF, dtype=np.uint16)
    assert (words.astype(np.uint64) * 256 % 0xFFFF == words.byteswap()).all()
