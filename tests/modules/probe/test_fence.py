"""What is probed on demand and how much: networks, rates, names judged by what they come to."""

import pytest

from amon.errors import Refused
from modules.probe.fence import Caps, Fence, FencedResolver, networks
from modules.probe.shape import Stop
from tests.modules.probe.probeworlds import Names


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("192.0.2.1", ""), ("2001:db8::1", ""), ("10.0.0.1", ""), ("8.8.8.8", ""),
        ("127.0.0.1", "this host's own"), ("::1", "this host's own"), ("::ffff:127.0.0.1", "this host's own"),
        ("169.254.169.254", "this host's own or its link's"), ("fe80::1", "link's"), ("fe80::1%eth0", "link's"),
        ("64:ff9b::7f00:1", "127.0.0.0/8 is this host's own"), ("2002:7f00:1::1", "127.0.0.0/8 is this host's own"),
        ("64:ff9b::808:808", ""), ("2002:e000:1::", "224.0.0.1 is no address of one host"),
        ("fd00:ec2::254", "this host's own or its link's"),
        ("224.0.0.1", "no address of one host"), ("255.255.255.255", "no address of one host"),
        ("0.0.0.0", "no address of one host"), ("240.0.0.1", "no address of one host"),
        ("::", "no address of one host"), ("ff02::1", "no address of one host"),
    ],
)  # fmt: skip
def test_without_settings_what_is_no_other_host_is_denied(address: str, why: str) -> None:
    said = Fence().problem(address)
    assert (why in said) if why else said == ""


def test_allow_is_all_that_is_left_and_deny_goes_before_it() -> None:
    fence = Fence(networks(["192.0.2.0/24", "127.0.0.0/8"]), networks(["192.0.2.128/25"]))
    assert fence.problem("192.0.2.1") == ""
    assert fence.problem("127.0.0.1") == ""  # named, so it is meant
    assert fence.problem("198.51.100.1") == "198.51.100.1 is not in `allow` of this instance"
    assert fence.problem("192.0.2.200") == "192.0.2.128/25 is in `deny` of this instance"
    assert "no address of one host" in Fence(networks(["0.0.0.0/0"])).problem("224.0.0.1")


async def test_a_name_is_judged_by_its_addresses_and_the_allowed_ones_are_left() -> None:
    names = Names({"mixed.example": ("127.0.0.1", "192.0.2.1"), "inside.example": ("169.254.169.254",)})
    resolver = FencedResolver(names, Fence())
    assert await resolver.addresses("mixed.example", "any") == ["192.0.2.1"]
    for name in ("inside.example", "127.0.0.1"):
        with pytest.raises(Stop, match="not probed from here") as stop:
            await resolver.addresses(name, "any")
        assert stop.value.state == "unmeasured"  # it says nothing about the target


def test_what_is_under_way_together_is_bounded_in_rate_time_and_number() -> None:
    caps = Caps(rate=100, at_once=2, longest=60)
    with pytest.raises(Refused, match=r"101 packets a second; on demand at most 100 .*\(-i\)"):
        caps.hold(101, 1).__enter__()
    with pytest.raises(Refused, match=r"takes 61 s; on demand at most 60 s"):
        caps.hold(1, 61).__enter__()
    with caps.hold(60, 1):
        with pytest.raises(Refused, match="1 probes are under way, 60 packets a second; ask again later"):
            caps.hold(50, 1).__enter__()
        with caps.hold(40, 1), pytest.raises(Refused, match="2 probes are under way"):
            caps.hold(0, 1).__enter__()
    assert caps.under_way == 0
    with caps.hold(100, 60):
        assert caps.under_way == 1


def test_of_many_as_many_have_room_together_as_the_rate_allows() -> None:
    caps = Caps(rate=200, at_once=8, longest=60)
    assert [caps.abreast(60, wanted) for wanted in (1, 3, 6)] == [1, 3, 3]
    assert caps.abreast(200, 2) == 1
    with caps.hold(120, 1):
        assert caps.abreast(60, 6) == 1
        with caps.hold(60, 1), pytest.raises(Refused, match="ask again later"), caps.hold(60 * caps.abreast(60, 6), 1):
            pass


def test_what_was_held_is_given_back_whatever_happens() -> None:
    caps = Caps(rate=10, at_once=1, longest=60)
    for _ in range(100):
        with pytest.raises(ZeroDivisionError), caps.hold(10, 1):
            raise ZeroDivisionError
    assert caps.under_way == 0
