"""From rows to health: the last probes as bits, limits, the hold, groups; and results as columns."""

from array import array
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.engine.messages import SELF, STATES, Batch
from amon.health import Level
from modules.probe.judge import Judge
from modules.probe.ping import Ping
from modules.probe.results import PACKETS, Column, Results, Window, of_engine, of_measured, row_of
from modules.probe.settings import Limits
from modules.probe.standing import Counting, Standing
from modules.probe.targets import Draft, Targets, packed

ANSWERED, LOST, LATE, UNSENT, UNREACHABLE = (
    STATES.index(name) for name in ("answered", "lost", "late", "unsent", "unreachable")
)


def listed(*lines: str, group: str = "targets") -> Targets:
    draft = Draft()
    draft.read(group, "list", lines)
    return draft.finish({}, 1)


def batch(rows: list[tuple[int, int, float]], seq: int = 0) -> Batch:
    """rows: target, state, rtt in ms."""
    columns = {
        "target": array("I", (row[0] for row in rows)).tobytes(),
        "state": bytes(row[1] for row in rows),
        "rtt": array("q", (int(row[2] * 1e6) for row in rows)).tobytes(),
        "sent": array("q", (10**9 * (100 + n) for n in range(len(rows)))).tobytes(),
        "ttl": b"\x40",
        "source": array("I", [SELF]).tobytes(),
    }
    return Batch(1, seq, len(rows), columns)


# Standing


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 64))
def test_loss_is_the_share_of_the_last_probes_that_were_not_good(course: list[bool], window: int) -> None:
    standing = Standing(3)
    for good in course:
        standing.note(1, good, 0.001 if good else None, 1.0, 0)
    last = course[-window:]
    assert standing.loss(1, window) == (sum(not good for good in last) / len(last) if last else None)
    assert standing.loss(0, window) is None


def test_round_trips_are_smoothed_as_in_rfc_6298() -> None:
    standing = Standing(1)
    for rtt in (0.1, 0.2):
        standing.note(0, True, rtt, 1.0, 0)
    assert standing.rtt[0] == pytest.approx(0.1 + 0.125 * 0.1)


def test_a_batch_of_the_engine_is_counted_and_what_is_not_the_targets_fault_is_not() -> None:
    standing, counting = Standing(3), Counting(Random(1))
    rows = [(0, ANSWERED, 1.0), (1, LOST, 0), (1, LATE, 900.0), (2, UNSENT, 0), (7, LOST, 0), (0, LOST, 0)]
    news = counting.take(batch(rows), standing, 0.0)
    assert news is not None
    assert set(news) == {0, 1}
    assert standing.loss(0, 20) == 0.5
    assert standing.loss(1, 20) == 1.0  # late is lost, but its time is known
    assert standing.rtt[1] == pytest.approx(0.9)
    assert standing.loss(2, 20) is None


def test_only_answers_tell_how_long_the_way_is() -> None:
    standing, counting = Standing(2), Counting(Random(1))
    rows = [(0, ANSWERED, 1.0), (0, UNREACHABLE, 3000.0), (0, ANSWERED, 1.0), (1, ANSWERED, -5.0)]
    counting.take(batch(rows), standing, 0.0)
    assert standing.rtt[0] == pytest.approx(0.001)
    assert standing.loss(0, 3) == pytest.approx(1 / 3)
    assert standing.rtt[1] == 0.0


def test_of_more_rows_a_second_than_there_is_time_for_some_batches_are_looked_at_and_others_each_second() -> None:
    standing, counting = Standing(10), Counting(Random(1), most=1000)
    rows = [(n % 10, ANSWERED, 1.0) for n in range(100)]
    taken = [
        [counting.take(batch(rows), standing, second + n / 40) is not None for n in range(40)] for second in range(50)
    ]
    share = counting.counted / (counting.counted + counting.passed)
    assert 0.2 < share < 0.35  # a quarter is what there is time for
    for place in range(40):  # none of them is passed over for ever
        assert any(second[place] for second in taken)


def test_what_there_is_time_for_is_looked_at_whole() -> None:
    counting = Counting(Random(1), most=1000)
    for second in range(20):
        assert counting.take(batch([(0, ANSWERED, 1.0)] * 900), Standing(1), float(second)) is not None
    assert counting.passed == 0


def test_what_is_known_of_a_target_goes_with_it_into_another_list() -> None:
    before, after = Standing(2), Standing(3)
    before.note(1, False, None, 7.0, before.word("lost"))
    after.take_over(before, {1: 2})
    assert (after.loss(2, 20), after.words[after.state[2]], after.last[2]) == (1.0, "lost", 7.0)
    assert after.loss(1, 20) is None


# Judge


def judged(limits: Limits, *lines: str) -> tuple[Judge, Standing]:
    targets = listed(*lines)
    standing = Standing(len(targets))
    return Judge(limits, targets, standing), standing


def probe(standing: Standing, row: int, *course: bool, rtt: float = 0.001) -> None:
    for good in course:
        standing.note(row, good, rtt if good else None, 1.0, 0)


def test_limits_of_loss_make_levels_with_a_word_for_targets_of_requests() -> None:
    judge, standing = judged(Limits(loss_warn=10, loss_crit=50, window=10), "192.0.2.1 gw", "192.0.2.2", "192.0.2.3")
    probe(standing, 0, *[False] * 10)
    probe(standing, 1, *[True] * 8, False, True)
    probe(standing, 2, *[True] * 10)
    assert judge.look(range(3), 100.0)
    parts = judge.parts()
    assert {name: (part.level, part.state) for name, part in parts.items()} == {
        "gw": (Level.critical, "down"),
        "192.0.2.2": (Level.warning, "lossy"),
        "192.0.2.3": (Level.ok, "up"),
    }
    assert (parts["gw"].text, parts["gw"].since) == ("100 % lost", 100.0)
    assert parts["192.0.2.2"].text == "10 % lost, rtt 1 ms"


def test_a_slow_target_is_told_where_there_is_a_limit() -> None:
    judge, standing = judged(Limits(rtt_warn=0.1, rtt_crit=0.5), "192.0.2.1", "192.0.2.2")
    probe(standing, 0, True, rtt=0.2)
    probe(standing, 1, True, rtt=0.6)
    judge.look(range(2), 1.0)
    assert [(judge.health(row).level, judge.health(row).state) for row in (0, 1)] == [
        (Level.warning, "slow"),
        (Level.critical, "slow"),
    ]


def test_bad_news_are_told_at_once_and_good_ones_after_the_hold() -> None:
    judge, standing = judged(Limits(window=2, hold=60), "192.0.2.1")
    probe(standing, 0, False, False)
    assert judge.look((0,), 0.0)
    probe(standing, 0, True, True)
    assert not judge.look((0,), 10.0)
    assert judge.level(0) is Level.critical
    assert not judge.look_again(69.0)
    assert judge.look_again(70.0)
    assert judge.level(0) is Level.ok
    assert (judge.bad_count, list(judge.bad())) == (0, [])


def test_one_that_flaps_stays_bad() -> None:
    judge, standing = judged(Limits(window=1, hold=60), "192.0.2.1")
    for now in range(0, 600, 10):
        probe(standing, 0, now % 20 == 0)
        judge.look((0,), float(now))
        judge.look_again(float(now))
        assert now < 10 or judge.level(0) is Level.critical


def test_many_targets_are_told_by_group() -> None:
    draft = Draft()
    draft.read("eu", "list", (f"10.0.0.{n}" for n in range(1, 51)))
    draft.read("us", "list", (f"10.0.1.{n} us{n}" for n in range(1, 11)))
    targets = draft.finish({}, 1)
    standing = Standing(len(targets))
    judge = Judge(Limits(parts=32), targets, standing)
    for row in (0, *range(50, 58)):
        probe(standing, row, False)
    judge.look(range(len(targets)), 5.0)
    parts = judge.parts()
    assert (parts["eu"].level, parts["eu"].text) == (Level.warning, "1 of 50 not well: 10.0.0.1 down")
    assert parts["us"].level is Level.critical
    assert parts["us"].text == "8 of 10 not well: us1 down, us2 down, us3 down, us4 down, us5 down ..."


def test_what_is_told_of_a_group_follows_its_targets_there_and_back() -> None:
    judge, standing = judged(Limits(parts=0, window=1, hold=0), *(f"10.0.0.{n}" for n in range(1, 101)))
    for row in range(100):
        probe(standing, row, False)
    judge.look(range(100), 7.0)
    (part,) = judge.parts().values()
    assert (part.level, part.since) == (Level.critical, 7.0)
    assert part.text.startswith("100 of 100 not well: 10.0.0.1 down")
    for row in range(99):
        probe(standing, row, True)
    judge.look(range(100), 9.0)
    (part,) = judge.parts().values()
    assert (part.level, judge.bad_count, list(judge.bad())) == (Level.warning, 1, [99])
    assert part.text.startswith("1 of 100 not well: ")
    probe(standing, 99, True)
    judge.look((99,), 10.0)
    assert [one.text for one in judge.parts().values()] == ["100 targets"]


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 30)), max_size=120))
def test_the_counts_of_a_judge_are_those_of_its_levels(course: list[tuple[int, bool, int]]) -> None:
    judge, standing = judged(Limits(parts=0, window=2, hold=20), *(f"10.0.0.{n}" for n in range(1, 7)))
    now = 0.0
    for row, good, passed in course:
        now += passed
        probe(standing, row, good)
        judge.look((row,), now)
        judge.look_again(now)
        levels = [judge.level(one) for one in range(6)]
        assert judge.bad_count == sum(level is not Level.ok for level in levels)
        assert set(judge.bad()) == {one for one, level in enumerate(levels) if level is not Level.ok}
        assert judge._waiting == sum(bool(since) for since in judge._better)


@pytest.mark.parametrize("wrong", [{"loss_warn": 60.0}, {"rtt_warn": 2.0, "rtt_crit": 1.0}])
def test_limits_in_the_wrong_order_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must not be above"):
        Limits(**wrong)  # type: ignore[arg-type]


# Results


def test_a_batch_of_the_engine_passes_as_the_bytes_it_came_in() -> None:
    one = batch([(0, ANSWERED, 1.0), (1, LOST, 0)])
    results = of_engine(one, "uplink", 3, 7)
    assert (results.kind, results.revision, results.seq, results.rows) == (PACKETS, 3, 7, 2)
    assert all(results.columns[name].data is data for name, data in one.columns.items())
    assert row_of(results, 0, listed("192.0.2.1 gw", "192.0.2.2"))["source"] == "gw"


def test_the_source_of_an_error_is_shown_as_an_address() -> None:
    one = batch([(0, STATES.index("hop"), 1.0)])
    columns = {**one.columns, "source": array("I", [0]).tobytes()}
    results = of_engine(Batch(1, 0, 1, columns, packed("198.51.100.1")), "uplink", 1, 1)
    shown = row_of(results, 0, listed("192.0.2.1"))
    assert (shown["source"], shown["state"]) == ("198.51.100.1", "hop")


def test_measurements_become_columns_with_their_units() -> None:
    rows = [(2, Ping(target="a", sent=3, rtt_median=0.25)), (0, Ping(target="b", state="failed", reason="no answer"))]
    results = of_measured(rows, "uplink", "ping", 1, 1)
    columns = results.columns
    assert list(columns["target"].values()) == [2, 0]
    assert columns["state"].values() == ("good", "failed")
    assert list(columns["sent"].values()) == [3, 0]
    assert columns["rtt_median"].unit == "s"
    first, second = columns["rtt_median"].values()
    assert first == 0.25
    assert second != second  # NaN: there was none
    assert "story" not in columns
    assert "rtts" not in columns


def results(seq: int, rows: int = 100) -> Results:
    columns = {"target": Column("I", array("I", range(rows)).tobytes()), "state": Column("B", b"\x01")}
    return Results("uplink", PACKETS, 1, seq, rows, columns)


def test_the_window_is_bounded_in_bytes_and_counts_what_it_lets_go() -> None:
    window = Window(most=10 * results(0).size)
    for seq in range(50):
        window.take(results(seq))
    assert window.size <= 10 * results(0).size
    assert (window.rows, window.taken, window.let_go) == (1000, 5000, 4000)
    newest, row = next(window.newest())
    assert (newest.seq, row) == (49, 99)


def test_a_single_batch_larger_than_the_window_is_kept() -> None:
    window = Window(most=10)
    window.take(results(1))
    assert window.rows == 100


def test_the_newest_of_one_target_are_found_in_the_present_list_only() -> None:
    window = Window()
    window.listed("uplink", listed(*(f"10.0.0.{n}" for n in range(1, 101))))
    for seq in range(5):
        window.take(results(seq))
    assert [(one.seq, row) for one, row in window.of_target(7, 3)] == [(4, 7), (3, 7), (2, 7)]
    draft = Draft()
    draft.read("", "", ["192.0.2.1"])
    window.listed("uplink", draft.finish({}, 2))
    assert window.of_target(0, 3) == []


def test_a_batch_about_one_target_alone_is_found_whole() -> None:
    window = Window()
    window.listed("uplink", listed("192.0.2.1", "192.0.2.2"))
    single = Results("uplink", PACKETS, 1, 1, 3, {"target": Column("I", array("I", [1]).tobytes())})
    window.take(single)
    assert [row for _, row in window.of_target(1, 10)] == [2, 1, 0]
    assert window.of_target(0, 10) == []
