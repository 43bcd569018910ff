"""Sending through AF_XDP where we are root of a network of our own only: all but the XDP program is to be had there."""

import pytest

from amon.engine.shapes import WayRefused
from amon.engine.ways.packet import RingReceiver
from amon.engine.ways.xdp import open_xdp
from tests.engine.netns import ip
from tests.engine.ways.alone import IDENT, Taken, alone, cabled, load, request, send


@alone
def test_all_that_is_sent_arrives_at_the_peer_and_is_answered() -> None:
    with cabled():
        receiver = RingReceiver("near", IDENT)
        transmitter, none = open_xdp("near", IDENT, frames=512, receive=False, every=64)
        assert none is None
        taken = Taken([receiver])
        for turn in range(8):
            for family in (4, 6):
                published = send(transmitter, [request(family, turn * 250 + slot) for slot in range(250)])
                assert (published.sent, published.failed) == (250, 0)
            taken.take_all((turn + 1) * 500)
        assert sorted(taken.column("slot")) == sorted([*range(2000), *range(2000)])
        assert len(transmitter.errors()) > 0
        assert set(transmitter.counters().values()) == {0}
        transmitter.close()
        receiver.close()


@alone
def test_an_interface_that_goes_down_and_then_away_is_told() -> None:
    with cabled():
        transmitter, _ = open_xdp("near", IDENT, receive=False)
        lengths = load(transmitter, [request(4, slot) for slot in range(200)])
        ip("link set near down")
        published = transmitter.publish(lengths[:100])
        assert (published.sent, published.failed, published.why) == (0, 100, "AF_XDP: the interface is down")
        ip("link delete near")
        published = transmitter.publish(lengths[100:])
        assert (published.sent, published.failed, published.why) == (0, 100, "AF_XDP: the interface is gone")
        assert len(transmitter.rows(5000)) == 2048
        transmitter.close()


@alone
def test_the_program_is_refused_with_a_reason() -> None:
    with cabled(), pytest.raises(WayRefused, match="XDP programs: "):
        open_xdp("near", IDENT)
