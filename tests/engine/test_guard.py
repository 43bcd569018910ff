"""Who may have which addresses probed: lists, what is never probed, and what would lead around both."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amon.engine.rules.guard import NAMED, NEVER, Guard, Lists
from amon.engine.shapes import U64
from amon.errors import Invalid

ANY = Lists(allow=("0.0.0.0/0", "::/0"))


def halves(addresses: Sequence[str]) -> tuple[U64, U64]:
    numbers = [number(address) for address in addresses]
    high = np.array([one >> 64 for one in numbers], np.uint64)
    return high, np.array([one & (2**64 - 1) for one in numbers], np.uint64)


def number(text: str) -> int:
    address = ip_address(text)
    return int(address) + (0xFFFF << 32 if isinstance(address, IPv4Address) else 0)


def said(guard: Guard, *addresses: str, tenant: str = "cern") -> list[str]:
    return [guard.texts[verdict] for verdict in guard.judge(tenant, *halves(addresses))]


def test_what_the_allow_list_has_may_be_probed_and_nothing_else() -> None:
    guard = Guard({"cern": Lists(allow=("192.0.2.0/24", "2001:db8::/32"))})
    assert said(guard, "192.0.2.0", "192.0.2.255", "2001:db8::1") == ["", "", ""]
    assert said(guard, "192.0.1.255", "192.0.3.0", "2001:db9::") == ["is not on the allow list of the tenant"] * 3


def test_an_empty_allow_list_allows_nothing() -> None:
    assert said(Guard({"cern": Lists()}), "192.0.2.1") == ["is not on the allow list of the tenant"]


def test_tenants_have_lists_of_their_own() -> None:
    guard = Guard({"cern": ANY, "infn": Lists(allow=("10.0.0.0/8",))})
    assert said(guard, "192.0.2.1") == [""]
    assert said(guard, "192.0.2.1", tenant="infn") == ["is not on the allow list of the tenant"]
    with pytest.raises(KeyError):
        guard.judge("nobody", *halves(["192.0.2.1"]))


def test_a_deny_wins_over_a_longer_prefix_that_allows() -> None:
    guard = Guard({"cern": Lists(allow=("192.0.2.7/32", "0.0.0.0/0"), deny=("192.0.2.0/24",))})
    assert said(guard, "192.0.2.7", "192.0.3.7") == ["is on the deny list of the tenant", ""]


def test_the_engine_s_deny_list_is_everybody_s_and_told_first() -> None:
    guard = Guard({"cern": Lists(allow=("::/0",), deny=("2001:db8::/48",)), "infn": ANY}, deny=("2001:db8::/32",))
    assert said(guard, "2001:db8::1") == ["is on the deny list of the engine"]
    assert said(guard, "2001:db8::1", tenant="infn") == ["is on the deny list of the engine"]


@pytest.mark.parametrize(("network", "text"), NEVER)
def test_what_is_no_host_s_address_is_never_probed(network: str, text: str) -> None:
    """Also where the tenant's list names it."""
    guard = Guard({"cern": Lists(allow=("0.0.0.0/0", "::/0", network))})
    block = ip_network(network)
    ends = {str(block.network_address), str(block.broadcast_address)} - {"::", "::ffff:ffff", "255.255.255.255"}
    assert all(one == text for one in said(guard, *ends)), said(guard, *ends)


def test_the_most_special_reason_is_told() -> None:
    guard = Guard({"cern": ANY})
    assert said(guard, "255.255.255.255", "::", "::192.0.2.1", "240.0.0.1") == [
        "is the limited broadcast (RFC 919, 7)",
        "is the unspecified address (RFC 4291, 2.5.2)",
        "is an IPv4-compatible address, which nobody uses any more (RFC 4291, 2.5.5.1)",
        "is reserved (RFC 1112, 4)",
    ]


@pytest.mark.parametrize(("network", "text"), NAMED)
def test_loopback_and_link_local_are_opened_by_name_only(network: str, text: str) -> None:
    block = ip_network(network)
    address = str(block.broadcast_address)
    assert said(Guard({"cern": ANY}), address) == [text]
    assert said(Guard({"cern": Lists(allow=("0.0.0.0/0", "::/0", address))}), address) == [""]
    assert said(Guard({"cern": Lists(allow=(network,))}), address) == [""]
    assert said(Guard({"cern": Lists(allow=(network,), deny=(address,))}), address) == [
        "is on the deny list of the tenant"
    ]


def test_a_name_opens_no_more_than_it_says() -> None:
    guard = Guard({"cern": Lists(allow=("127.0.0.1", "126.0.0.0/7"))})
    assert said(guard, "127.0.0.1") == [""]
    assert "loopback" in said(guard, "127.0.0.2")[0]


@pytest.mark.parametrize("address", ["192.0.2.1", "198.51.100.1", "203.0.113.9", "2001:db8::1", "10.1.2.3", "fd00::1"])
def test_documentation_and_private_networks_are_like_any_other(address: str) -> None:
    assert said(Guard({"cern": ANY}), address) == [""]


def test_a_mapped_address_is_judged_as_the_ipv4_it_is() -> None:
    guard = Guard({"cern": ANY}, deny=("192.0.2.0/24",))
    assert said(guard, "::ffff:192.0.2.1") == ["is on the deny list of the engine"]
    assert "loopback" in said(guard, "::ffff:127.0.0.1")[0]


def test_all_of_ipv6_does_not_mean_ipv4() -> None:
    assert said(Guard({"cern": Lists(allow=("::/0",))}), "192.0.2.1", "2001:db8::1") == [
        "is not on the allow list of the tenant",
        "",
    ]
    assert said(Guard({"cern": ANY}, deny=("::/0",)), "192.0.2.1", "2001:db8::1") == [
        "",
        "is on the deny list of the engine",
    ]
    for wide in ("::/79", "::/80", "::fffe:0:0/95"):
        assert said(Guard({"cern": Lists(allow=(wide,))}), "192.0.2.1") == ["is not on the allow list of the tenant"]


@pytest.mark.parametrize("around", ["64:ff9b::192.0.2.1", "2002:c000:201::1", "::ffff:0:192.0.2.1"])
def test_what_is_denied_in_ipv4_is_denied_behind_a_translator(around: str) -> None:
    assert said(Guard({"cern": ANY}), around) == [""]
    assert said(Guard({"cern": ANY}, deny=("192.0.2.0/24",)), around) == ["is on the deny list of the engine"]
    denying = Lists(allow=("::/0",), deny=("192.0.2.1",))
    assert said(Guard({"cern": denying}), around) == ["is on the deny list of the tenant"]


@pytest.mark.parametrize("around", ["64:ff9b::127.0.0.1", "2002:7f00:1::", "64:ff9b::224.0.0.1", "2002:ffff:ffff::"])
def test_a_translator_does_not_lead_to_what_is_never_probed(around: str) -> None:
    guard = Guard({"cern": Lists(allow=("::/0", "127.0.0.0/8"))})
    assert "leads a translator" in said(guard, around)[0]


def test_the_broadcast_addresses_of_our_own_networks_are_never_probed() -> None:
    guard = Guard({"cern": Lists(allow=("192.0.2.0/24",))})
    assert said(guard, "192.0.2.255") == [""]
    guard = guard.with_broadcasts(halves(["192.0.2.255", "192.0.2.0"]))
    assert "broadcast address of a network of this host" in said(guard, "192.0.2.255")[0]
    assert "broadcast address of a network of this host" in said(guard, "192.0.2.0")[0]
    assert said(guard, "192.0.2.1", "192.0.2.254") == ["", ""]


@pytest.mark.parametrize(
    ("lists", "deny", "text"),
    [
        (
            Lists(allow=("192.0.2.0/24", "ngnix")),
            (),
            "the allow list of cern, entry 2: 'ngnix' is no network; write 192.0.2.0/24 or 2001:db8::/32",
        ),
        (
            Lists(deny=("",)),
            (),
            "the deny list of cern, entry 1: '' is no network; write 192.0.2.0/24 or 2001:db8::/32",
        ),
        (
            Lists(),
            ("192.0.2.1/24",),
            "the engine's deny list, entry 1: '192.0.2.1/24' is an address in a network; "
            "write 192.0.2.0/24 or the address alone",
        ),
    ],
)
def test_what_is_no_network_is_refused_with_its_place(lists: Lists, deny: tuple[str, ...], text: str) -> None:
    with pytest.raises(Invalid) as refused:
        Guard({"cern": lists}, deny)
    assert str(refused.value) == text


def test_a_list_of_more_than_a_million_networks_is_refused() -> None:
    with pytest.raises(Invalid, match="more than 1,000,000 networks"):
        Guard({"cern": Lists(deny=["192.0.2.1"] * 1_000_001)})


# --- against a slow reference

networks4 = st.builds(
    lambda address, length: str(ip_network((address, length), strict=False)),
    st.integers(0, 2**32 - 1) | st.integers(0xC0000200, 0xC0000210),
    st.integers(0, 32),
)
networks6 = st.builds(
    lambda address, length: str(IPv6Network((address, length), strict=False)),
    st.integers(0, 2**128 - 1) | st.integers(0x20010DB8 << 96, (0x20010DB8 << 96) + 16),
    st.integers(0, 128),
).filter(lambda text: not _touches_mapped(IPv6Network(text)))
lists = st.lists(networks4 | networks6, max_size=6)


def _touches_mapped(network: IPv6Network) -> bool:
    return network.overlaps(IPv6Network("::ffff:0:0/96"))


def _scalar(address: IPv4Address | IPv6Address, allow: list[str], deny: list[str]) -> bool:
    """Whether it may be probed, by the sentences of the docstring; for addresses no special block has."""
    return any(address in ip_network(one) for one in allow) and not any(address in ip_network(one) for one in deny)


_SPECIAL = [ip_network(text) for text, _ in (*NEVER, *NAMED)] + [
    ip_network(text) for text in ("64:ff9b::/96", "2002::/16", "::ffff:0:0:0/96", "::ffff:0:0/96")
]


@settings(max_examples=150, deadline=None)
@given(allow=lists, deny=lists, of_tenant=lists, data=st.data())
def test_verdicts_are_those_of_the_slow_reference(
    allow: list[str], deny: list[str], of_tenant: list[str], data: st.DataObject
) -> None:
    edges = [
        address + step
        for text in (*allow, *deny, *of_tenant)
        for address in (ip_network(text).network_address, ip_network(text).broadcast_address)
        for step in (-1, 0, 1)
        if 0 <= int(address) + step < 2**address.max_prefixlen
    ]
    chosen = data.draw(st.lists(st.sampled_from(edges), max_size=20)) if edges else []
    chosen += [IPv4Address(data.draw(st.integers(0, 2**32 - 1))), IPv6Address(data.draw(st.integers(0, 2**128 - 1)))]
    plain = [one for one in chosen if not any(one in block for block in _SPECIAL)]
    guard = Guard({"cern": Lists(allow, of_tenant)}, deny)
    verdicts = guard.judge("cern", *halves([str(one) for one in plain]))
    assert [verdict == 0 for verdict in verdicts] == [_scalar(one, allow, [*deny, *of_tenant]) for one in plain]
