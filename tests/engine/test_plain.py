"""The fast way knows what is usual, and nothing that it does not understand."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amon.engine.packets.plain import plain_replies
from tests.engine import scalar
from tests.engine.packets import ANYTHING, IDENT, ROUTER, received, request, with_chain, with_options


@settings(deadline=None, max_examples=200)
@given(st.lists(ANYTHING, max_size=10), st.booleans())
def test_a_packet_is_known_to_be_a_reply_or_left_for_a_closer_look(packets: list[bytes], verified: bool) -> None:
    found, rest = plain_replies(received(packets, verified), IDENT)
    known = [row for one in found for row in one.row.tolist()]
    assert sorted(known + rest.tolist()) == list(range(len(packets)))
    for row in known:
        assert scalar.read(packets[row], IDENT, verified).verdict == "fine"


USUAL: dict[str, Callable[[int], bytes]] = {
    "an echo reply": lambda family: request(family).reply(),
    "a small one": lambda family: request(family, size=16).reply(),
    "a long one": lambda family: request(family, size=1400).reply(),
    "time exceeded": lambda family: request(family).error(3 if family == 6 else 11, 0, ROUTER[family]),
    "unreachable": lambda family: request(family).error(1 if family == 6 else 3, 1, ROUTER[family]),
}


@pytest.mark.parametrize("verified", [False, True])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("what", USUAL)
def test_the_usual_is_plain_alone_and_among_others(what: str, family: int, verified: bool) -> None:
    packet = USUAL[what](family)
    for packets in ([packet], [packet, b"?", request(10 - family).reply(), packet]):
        _, rest = plain_replies(received(packets, verified), IDENT)
        assert rest.tolist() == [row for row, one in enumerate(packets) if one == b"?"]


def test_eight_quoted_bytes_are_usual_in_ipv4() -> None:
    found, rest = plain_replies(received([request(4).error(11, 0, ROUTER[4], quoted=8)] * 3), IDENT)
    assert len(found) == 1
    assert not len(rest)


@pytest.mark.parametrize(
    "packet",
    [
        with_options(request(4).reply(), bytes(4)),
        with_chain(request(6).reply(), [(60, bytes(7))]),
        request(4, size=16).reply() + b"padding",
        request(6, nonce=0).reply(),
        request(4).packet(),
    ],
)
def test_the_unusual_is_looked_at_more_closely(packet: bytes) -> None:
    found, rest = plain_replies(received([packet]), IDENT)
    assert found == []
    assert np.array_equal(rest, [0])
