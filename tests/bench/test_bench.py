"""The bench does not rot: every figure can be measured. How large it is decides nothing here."""

import time
from collections.abc import Awaitable
from typing import Protocol

import psutil
import pytest

from tests.bench import agent, calls, demo, fleet, journal, messages, run, sessions, signatures
from tests.bench.ground import cpu_seconds
from tests.bench.rows import Row, middle, table


def test_a_missed_budget_is_marked_whichever_way_it_counts() -> None:
    rows = [
        Row("late", 2.0, "s", 1.0, "less"),
        Row("slow", 20.0, "/s", 40.0, "more"),
        Row("good", 0.5, "s", 1.0, "less"),
    ]
    assert [row.ratio for row in rows] == [2.0, 2.0, 0.5]
    assert [line.count("MISSED") for line in table(rows).splitlines()[1:]] == [1, 1, 0]


def test_a_figure_without_budget_misses_nothing() -> None:
    row = Row("memory", 12.5, "MB", None, "less", "a note")
    assert not row.missed
    assert table([row]).splitlines()[1].split() == ["memory", "12.5", "MB", "a", "note"]


def test_one_slow_repeat_does_not_move_the_middle() -> None:
    assert middle([1.0, 1.1, 9.0]) == 1.1


def test_cpu_time_is_that_of_the_process() -> None:
    me = psutil.Process()
    before, end = cpu_seconds(me.pid), time.process_time() + 0.05
    while time.process_time() < end:
        pass
    assert cpu_seconds(me.pid) - before == pytest.approx(0.05, rel=0.5)


def test_an_unknown_figure_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run.main(["weather"])
    assert ended.value.code == 2
    assert "no figure is called 'weather'" in capsys.readouterr().err


async def test_round_trips_and_a_small_fleet_can_be_measured() -> None:
    """The smallest there is of what the others stand on; the rest is marked, for it takes longer."""
    trips = await messages.compare(messages.Plan(("prosody",), ("amon", "raw"), 0.2, 1))
    assert [row.unit for row in trips] == ["% of raw"] * 4
    asked = await fleet.ask(fleet.Plan("prosody", 3, 1, True, {fleet.READ: 0.15}, 1))
    assert all(row.value > 0 for row in (*trips, *asked))


class Figure(Protocol):
    """A file of the bench."""

    def measure(self, quick: bool) -> Awaitable[list[Row]]: ...


@pytest.mark.bench
@pytest.mark.parametrize(
    "figure", [agent, calls, demo, fleet, journal, messages, sessions, signatures], ids=lambda one: one.__name__
)
async def test_each_figure_can_be_measured(figure: Figure) -> None:
    rows = await figure.measure(quick=True)
    assert rows
    assert all(row.value >= 0 for row in rows)
