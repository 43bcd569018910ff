"""The health in a presence: at most a kilobyte whatever is wrong, and whatever is sent instead does no harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.wire import HealthReport, WireError, decode_health, encode_health

MODULES = ("agent", "service", "uptime")


Bad = tuple[tuple[str, str, str], ...]


def test_what_is_said_is_what_arrives() -> None:
    report = HealthReport("crit", 2, (("service/c", "crit", "down"), ("service/b", "warn", "slow")), 0, MODULES)
    assert decode_health(encode_health(report)) == report


def test_a_site_where_all_is_wrong_tells_the_worst_and_how_many_more() -> None:
    bad = (("service/the-one", "crit", "down"), *((f"service/unit-{n:03}", "warn", "slow") for n in range(400)))
    text = encode_health(HealthReport("crit", 0, bad, 0, MODULES))
    report = decode_health(text)
    assert len(text.encode()) <= 1024
    assert report.bad[0] == ("service/the-one", "crit", "down")
    assert len(report.bad) + report.more == 401
    assert report.modules == MODULES


TEXTS = st.text(max_size=300)


@given(st.lists(st.tuples(TEXTS, st.just("crit"), TEXTS), max_size=40).map(tuple), st.integers(0, 200))
def test_it_is_never_longer_than_a_kilobyte(bad: Bad, modules: int) -> None:
    text = encode_health(HealthReport("crit", 7, bad, 0, tuple(f"module-{n}" for n in range(modules))))
    assert len(text.encode()) <= 1024
    report = decode_health(text)
    assert (report.ok, len(report.bad) + report.more) == (7, len(bad))


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "{}", "{" * 4000, '{"level":1,"ok":1}', '{"level":"ok","ok":"many"}',
        '{"level":"ok","ok":1,"bad":[["x"]]}', '{"level":"ok","ok":1,"bad":[["x","crit",null]]}',
        '{"level":"ok","ok":1' + "0" * 3000 + "}", '{"level":"ok","ok":1,"modules":[["x"]]}', "x" * 5000,
        "\ud800", "\x00",
    ],
    ids=lambda text: ascii(text[:24]),
)  # fmt: skip
def test_a_hostile_presence_is_an_error_and_nothing_more(text: str) -> None:
    with pytest.raises(WireError):
        decode_health(text)


def test_a_presence_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert decode_health('{"level":"ok","ok":3,"since":1}') == HealthReport("ok", 3)
