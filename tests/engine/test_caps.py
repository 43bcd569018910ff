"""No caller gets more than the caps say, in any interval, however it asks; and what is short is shared by weight."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amon.engine.messages import Limits
from amon.engine.rules.caps import Caps, Gate, TenantCap
from amon.engine.shapes import STRIDE

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
WIDE = Limits(1e9, 1e12, 2**31)
NAMES = ("cern", "infn", "kit")


def one(rate: float, octets: float = 1e12, burst: float = 0.01) -> Caps:
    return Caps(Limits(rate, octets, 1000), {"cern": TenantCap(WIDE)}, burst)


def test_a_burst_goes_at_once_and_then_the_rate() -> None:
    caps = one(1000)
    assert caps.admit("cern", 50, 98, 0) == 10
    assert caps.admit("cern", 50, 98, MILLISECOND - 1) == 0
    assert caps.admit("cern", 50, 98, MILLISECOND) == 1
    assert caps.admit("cern", 50, 98, 4 * MILLISECOND) == 3


def test_a_late_wake_up_does_not_burst() -> None:
    caps = one(1000)
    caps.admit("cern", 50, 98, 0)
    assert caps.admit("cern", 10**6, 98, 3600 * SECOND) == 10


def test_a_rate_below_one_packet_per_burst_still_sends() -> None:
    caps = one(0.5)
    assert [caps.admit("cern", 9, 98, second * SECOND) for second in range(5)] == [2, 0, 1, 0, 1]


def test_bytes_are_capped_too() -> None:
    caps = one(1e6, octets=100_000)
    assert caps.admit("cern", 1000, 1000, 0) == 2 * STRIDE // 1000, "a burst holds the largest frame"
    total = sum(caps.admit("cern", 1000, 1000, tick * MILLISECOND) for tick in range(1, 1001))
    assert total == 100, "what is left of a burst that no frame fits in is used later"


def test_no_caps_make_anything_of_none_or_less() -> None:
    caps = one(1000)
    assert caps.admit("cern", 0, 98, 0) == 0
    assert caps.admit("cern", -5, 98, 0) == 0
    assert caps.admit("cern", 50, 98, 0) == 10


def test_a_clock_that_goes_back_brings_nothing() -> None:
    caps = one(1000)
    caps.admit("cern", 50, 98, SECOND)
    assert caps.admit("cern", 50, 98, 0) == 0
    assert caps.admit("cern", 50, 98, SECOND) == 0
    assert caps.admit("cern", 50, 98, SECOND + MILLISECOND) == 1


def test_what_is_not_sent_is_given_back_at_once_or_is_lost() -> None:
    caps = one(1000)
    assert caps.admit("cern", 10, 98, 0) == 10
    caps.give_back("cern", 4, 98)
    assert caps.admit("cern", 10, 98, 0) == 4
    assert caps.admit("cern", 10, 98, 5 * MILLISECOND) == 5
    caps.give_back("cern", 10**6, 98)
    assert caps.admit("cern", 10, 98, 5 * MILLISECOND) == 5, "no more than was admitted at that moment"
    caps.admit("cern", 0, 98, 10 * MILLISECOND)
    caps.give_back("cern", 5, 98)
    assert caps.admit("cern", 10, 98, 10 * MILLISECOND) == 5


def test_a_tenant_that_is_not_known_gets_nothing() -> None:
    with pytest.raises(KeyError):
        one(1000).admit("nobody", 1, 98, 0)


def test_in_flight_is_the_tenant_s_and_never_above_that_of_all() -> None:
    tenants = {"cern": TenantCap(Limits(1, 1, 400)), "infn": TenantCap(Limits(1, 1, 5000))}
    caps = Caps(Limits(1, 1, 1000), tenants)
    assert (caps.in_flight("cern"), caps.in_flight("infn"), caps.in_flight()) == (400, 1000, 1000)


def test_lower_limits_hold_from_the_moment_they_are_set() -> None:
    caps = one(100_000)
    assert caps.admit("cern", 400, 98, 0) == 400
    caps.change(Limits(1000, 1e12, 10), {"cern": TenantCap(WIDE)})
    assert caps.admit("cern", 10**6, 98, 0) == 10
    assert caps.admit("cern", 10**6, 98, 2 * MILLISECOND) == 2
    assert caps.in_flight("cern") == 10


def test_higher_limits_do_not_fill_a_bucket_that_was_empty() -> None:
    caps = one(1000)
    caps.admit("cern", 10, 98, 0)
    caps.change(Limits(100_000, 1e12, 10), {"cern": TenantCap(WIDE), "infn": TenantCap(WIDE)})
    assert caps.admit("cern", 10**6, 98, 0) == 0
    assert caps.admit("cern", 10**6, 98, MILLISECOND) == 100


# --- shares


def greedy(caps: Caps, seconds: float, *names: str, tick: int = MILLISECOND) -> dict[str, int]:
    """What each gets that always asks for all there is, the first always first."""
    got = dict.fromkeys(names, 0)
    for now in range(0, int(seconds * SECOND), tick):
        for name in names:
            got[name] += caps.admit(name, 10**6, 98, now)
    return got


def shared(rate: float, **weights: float) -> Caps:
    return Caps(Limits(rate, 1e12, 1000), {name: TenantCap(WIDE, weight) for name, weight in weights.items()}, 0.01)


@pytest.mark.parametrize("rate", [50, 1000, 100_000])
def test_tenants_share_what_is_short_by_weight_whoever_asks_first(rate: float) -> None:
    seconds = 20_000 / rate if rate < 1000 else 4
    tick = 20 * MILLISECOND if rate < 1000 else MILLISECOND
    got = greedy(shared(rate, cern=1, infn=3), seconds, "cern", "infn", tick=tick)
    assert got["infn"] / got["cern"] == pytest.approx(3, rel=0.05)
    assert sum(got.values()) == pytest.approx(rate * seconds, rel=0.02), "and nothing is wasted"


def test_the_share_of_who_does_not_ask_goes_to_the_others_by_weight() -> None:
    got = greedy(shared(10_000, cern=1, infn=3, kit=96), 4, "cern", "infn")
    assert got["infn"] / got["cern"] == pytest.approx(3, rel=0.05)
    assert sum(got.values()) == pytest.approx(40_000, rel=0.02)


def test_the_share_of_who_may_not_take_it_goes_to_the_others() -> None:
    """infn asks for all, but its own cap is small."""
    tenants = {"cern": TenantCap(WIDE, 1), "infn": TenantCap(Limits(500, 1e12, 1000), 9)}
    got = greedy(Caps(Limits(10_000, 1e12, 1000), tenants, 0.01), 4, "infn", "cern")
    assert got["infn"] == pytest.approx(2000, rel=0.02)
    assert got["cern"] == pytest.approx(38_000, rel=0.02)


def test_who_asks_for_little_gets_it_all_while_another_is_greedy() -> None:
    caps = shared(10_000, cern=1, infn=1)
    got = 0
    for tick in range(2000):
        caps.admit("infn", 10**6, 98, tick * MILLISECOND)
        got += caps.admit("cern", 2, 98, tick * MILLISECOND)
    assert got == pytest.approx(4000, abs=20)


def test_a_very_small_weight_is_not_starved() -> None:
    got = greedy(shared(100, cern=1, infn=1000), 200, "infn", "cern", tick=10 * MILLISECOND)
    assert got["cern"] >= 19
    assert got["infn"] > 19_000


# --- over any interval


@dataclass
class Book:
    """What went out when, and whether any interval has more of it than the caps say."""

    moments: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def note(self, now: int, count: int) -> None:
        self.moments.append(now)
        self.counts.append(count)

    def check(self, rate: float, burst: int) -> None:
        for first in range(len(self.counts)):
            total = 0
            for last in range(first, len(self.counts)):
                total += self.counts[last]
                most = rate * (self.moments[last] - self.moments[first]) / SECOND + burst
                assert total <= most + 1e-6, (first, last, total, most)


asks = st.tuples(
    st.sampled_from([0, 0, 1, 999, MILLISECOND, 7 * MILLISECOND, SECOND, 3600 * SECOND]) | st.integers(0, 10**8),
    st.integers(0, 2),  # tenant
    st.integers(0, 5000),  # packets
    st.sampled_from([60, 98, 1514]),
    st.integers(0, 5000),  # given back
)
rates = st.sampled_from([0.5, 1.0, 10.0, 333.3, 1000.0, 1e5, 1e6])
tenant_rates = st.tuples(rates, rates, rates)


@settings(max_examples=150, deadline=None)
@given(st.lists(asks, max_size=60), rates, tenant_rates, st.sampled_from([0.0, 0.001, 0.05]))
def test_no_interval_ever_has_more_than_rate_and_burst(
    sequence: list[tuple[int, int, int, int, int]], rate: float, own: tuple[float, ...], burst: float
) -> None:
    tenants = {
        name: TenantCap(Limits(each, each * 200, 1), place + 1)
        for place, (name, each) in enumerate(zip(NAMES, own, strict=True))
    }
    caps = Caps(Limits(rate, rate * 200, 1), tenants, burst)
    books = {name: (Book(), Book()) for name in (*NAMES, "all")}
    now = 0
    for step, tenant, packets, size, back in sequence:
        now += step
        name = NAMES[tenant]
        admitted = caps.admit(name, packets, size, now)
        assert 0 <= admitted <= packets
        back = min(back, admitted)
        caps.give_back(name, back, size)
        for book in (books[name], books["all"]):
            book[0].note(now, admitted - back)
            book[1].note(now, (admitted - back) * size)
    for name, each in zip(("all", *NAMES), (rate, *own), strict=True):
        sharers = 2 * len(NAMES) if name == "all" else 1
        books[name][0].check(each, max(sharers, int(each * burst)))
        books[name][1].check(each * 200, max(sharers * STRIDE, int(each * 200 * burst)))


# --- the gate


def test_frames_pass_the_gate_in_order_as_far_as_all_caps_allow() -> None:
    tenants = {"cern": TenantCap(WIDE), "infn": TenantCap(Limits(200, 1e12, 1))}
    gate = Gate(Limits(2000, 1e12, 1), tenants, 0.01)
    which = np.array([0, 1, 0, 1, 0, 1, 0, 0], np.uint16)
    lengths = np.full(8, 98, np.uint16)
    assert gate.admit_first(("cern", "infn"), which, lengths, 0) == 5, "the third of infn has to wait"
    assert gate.admit_first(("cern", "infn"), which[5:], lengths[5:], 0) == 0
    assert gate.admit_first(("cern", "infn"), which[5:], lengths[5:], 5 * MILLISECOND) == 3
    assert gate.admit_first(("cern", "infn"), which[:0], lengths[:0], 5 * MILLISECOND) == 0


def test_what_the_system_did_not_take_is_given_back_to_the_gate() -> None:
    gate = Gate(Limits(1000, 1e12, 1), {"cern": TenantCap(WIDE), "infn": TenantCap(WIDE)}, 0.01)
    frames = np.arange(20, dtype=np.uint16) % np.uint16(2), np.full(20, 98, np.uint16)
    assert gate.admit_first(("cern", "infn"), *frames, 0) == 10
    gate.give_back(("cern", "infn"), frames[0][4:10], frames[1][4:10])
    assert gate.admit_first(("cern", "infn"), *frames, 0) == 6
    assert gate.admit_first(("cern", "infn"), *frames, MILLISECOND) == 1
    gate.give_back(("cern", "infn"), *frames)
    assert gate.admit_first(("cern", "infn"), *frames, MILLISECOND) == 1, "no more than was admitted at that moment"


def test_the_gate_lowers_at_once() -> None:
    gate = Gate(Limits(1e6, 1e12, 1), {"cern": TenantCap(WIDE)}, 0.01)
    frames = np.zeros(500, np.uint16), np.full(500, 98, np.uint16)
    gate.change(Limits(1000, 1e12, 1), {"cern": TenantCap(WIDE)})
    assert gate.admit_first(("cern",), *frames, 0) == 10


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 10**8), st.lists(st.integers(0, 2), max_size=40), st.integers(60, 2000)), max_size=40
    ),
    rates,
    tenant_rates,
)
def test_no_interval_at_the_gate_ever_has_more_than_rate_and_burst(
    sequence: list[tuple[int, list[int], int]], rate: float, own: tuple[float, ...]
) -> None:
    tenants = {name: TenantCap(Limits(each, each * 200, 1)) for name, each in zip(NAMES, own, strict=True)}
    gate = Gate(Limits(rate, rate * 200, 1), tenants, 0.005)
    books = {name: (Book(), Book()) for name in (*NAMES, "all")}
    now = 0
    for step, owners, size in sequence:
        now += step
        which = np.array(owners, np.uint16)
        passed = gate.admit_first(NAMES, which, np.full(len(which), size, np.uint16), now)
        for place, name in enumerate(NAMES):
            count = int((which[:passed] == place).sum())
            books[name][0].note(now, count)
            books[name][1].note(now, count * size)
        books["all"][0].note(now, passed)
        books["all"][1].note(now, passed * size)
    for name, each in zip(("all", *NAMES), (rate, *own), strict=True):
        books[name][0].check(each, max(1, int(each * 0.005)))
        books[name][1].check(each * 200, max(STRIDE, int(each * 200 * 0.005)))
