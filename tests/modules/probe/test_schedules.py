"""When each target is visited: its place in the interval, and what happens when the time of day does."""

import asyncio
from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from amon.testing import FakeClock
from modules.probe.schedules import AT_ONCE, Rounds, Runner, stretched
from modules.probe.targets import Draft, Targets


def listed(*lines: str) -> Targets:
    draft = Draft()
    draft.read("", "list", lines)
    return draft.finish({}, 1)


def some(count: int) -> Targets:
    return listed(*(f"10.0.{n >> 8}.{n & 255}" for n in range(count)))


class Visits:
    """Who was visited when; as long as `hold` is set a visit lasts."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.made: list[tuple[float, int]] = []
        self.hold: asyncio.Event | None = None

    async def visit(self, row: int) -> None:
        self.made.append((self.clock.time(), row))
        if self.hold is not None:
            await self.hold.wait()


def begun(clock: FakeClock, rounds: Rounds, jitter: float = 0.0) -> "tuple[Visits, Runner, asyncio.Task[None]]":
    visits = Visits(clock)
    runner = Runner(clock, visits.visit, Random(1), jitter=jitter)
    return visits, runner, asyncio.create_task(runner.run(rounds))


async def end(task: "asyncio.Task[None]", runner: Runner) -> None:
    task.cancel()
    await asyncio.wait((task,))
    await runner.close()


# Where a target stands


def test_a_target_keeps_its_place_whatever_else_is_in_the_list_and_however_often_it_is_read() -> None:
    one, two = Rounds(listed("192.0.2.1", "192.0.2.2"), 10, "uplink"), Rounds(some(50), 10, "uplink")
    both = Rounds(listed("192.0.2.2", *(f"10.0.0.{n}" for n in range(1, 50)), "192.0.2.1"), 10, "uplink")

    def places(rounds: Rounds, targets: Targets) -> dict[str, float]:
        return {
            targets.text(row): rounds.visit((0, n))[0] for n in range(len(rounds)) for row in [rounds.visit((0, n))[1]]
        }

    first = places(one, listed("192.0.2.1", "192.0.2.2"))
    later = places(both, listed("192.0.2.2", *(f"10.0.0.{n}" for n in range(1, 50)), "192.0.2.1"))
    assert first.items() <= later.items()
    assert len(two) == 50


def test_two_instances_do_not_visit_a_target_together() -> None:
    target = listed("192.0.2.1")
    assert Rounds(target, 10, "uplink").visit((0, 0)) != Rounds(target, 10, "mesh").visit((0, 0))


def test_targets_are_spread_over_the_interval() -> None:
    rounds = Rounds(some(10_000), 10, "uplink")
    tenths = Counter(int(rounds.visit((0, place))[0]) for place in range(len(rounds)))
    assert set(tenths) == set(range(10))
    assert max(tenths.values()) < 1.2 * min(tenths.values())


@given(st.floats(min_value=0, max_value=2e9), st.floats(min_value=0.1, max_value=86_400), st.integers(1, 40))
def test_the_first_visit_behind_a_moment_is_the_next_one_there_is(now: float, interval: float, count: int) -> None:
    rounds = Rounds(some(count), interval, "x")
    at = rounds.after(now)
    due, _ = rounds.visit(at)
    slack = 1e-6 * max(1.0, now)
    assert due > now - slack
    number, place = at
    before = (number, place - 1) if place else (number - 1, len(rounds) - 1)
    assert rounds.visit(before)[0] <= now + slack
    assert rounds.visit(rounds.next(at))[0] >= due


def test_the_interval_is_stretched_to_what_can_be_done() -> None:
    assert stretched(10, 100, rate=50) == 10
    assert stretched(1, 1000, rate=50) == 20


# Visits


async def test_each_target_is_visited_once_in_each_interval_at_its_place() -> None:
    clock, rounds = FakeClock(1000.0), Rounds(some(5), 10, "x")
    visits, runner, task = begun(clock, rounds)
    await clock.turn(30, 0.05)
    await end(task, runner)
    assert Counter(row for _, row in visits.made) == dict.fromkeys(range(5), 3)
    for at, row in visits.made:
        place = next(n for n in range(5) if rounds.visit((0, n))[1] == row)
        assert 0 <= (at - rounds.visit((0, place))[0]) % 10 < 0.06
    assert (runner.begun, runner.skipped) == (15, 0)


async def test_a_restart_neither_repeats_nor_leaves_out_a_visit() -> None:
    clock, rounds = FakeClock(1000.0), Rounds(some(7), 10, "x")
    rows: list[int] = []
    for seconds in (3.3, 4.1, 2.6, 10.0):
        visits, runner, task = begun(clock, rounds)
        await clock.turn(seconds, 0.05)
        await end(task, runner)
        rows += [row for _, row in visits.made]
    assert Counter(rows) == dict.fromkeys(range(7), 2)


async def test_what_was_missed_is_counted_and_never_made_up_for() -> None:
    clock, rounds = FakeClock(1000.0), Rounds(some(20), 10, "x")
    visits, runner, task = begun(clock, rounds)
    await clock.turn(10, 0.05)
    clock.advance(100)  # the host was suspended
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(visits.made) <= 21
    await clock.turn(10, 0.05)
    await end(task, runner)
    assert 39 <= len(visits.made) <= 42
    assert runner.begun + runner.skipped in range(238, 242)


async def test_a_clock_that_is_put_back_does_not_stop_the_visits() -> None:
    clock, rounds = FakeClock(100_000.0), Rounds(some(10), 10, "x")
    visits, runner, task = begun(clock, rounds)
    await clock.turn(10, 0.05)
    clock.step_back(50_000)
    await clock.turn(70, 0.5)  # it sleeps a minute at most before it looks at the time
    seen = len(visits.made)
    await clock.turn(10, 0.05)
    await end(task, runner)
    assert len(visits.made) - seen == 10


async def test_while_it_is_paused_nothing_is_visited_and_nothing_is_skipped() -> None:
    clock, rounds = FakeClock(1000.0), Rounds(some(5), 10, "x")
    visits, runner, task = begun(clock, rounds)
    runner.paused = True
    await clock.turn(50, 0.05)
    assert (visits.made, runner.skipped) == ([], 0)
    runner.paused = False
    await clock.turn(10, 0.05)
    await end(task, runner)
    assert len(visits.made) == 5


async def test_only_so_many_are_under_way_and_the_others_are_skipped() -> None:
    clock, rounds = FakeClock(1000.0), Rounds(some(AT_ONCE + 44), 10, "x")
    visits, runner, task = begun(clock, rounds)
    visits.hold = asyncio.Event()
    await clock.turn(10, 0.05)
    assert len(runner.under_way) == AT_ONCE
    assert runner.skipped in range(40, 45)  # those whose time was within these steps
    visits.hold.set()
    await clock.turn(1, 0.05)
    await end(task, runner)


async def test_jitter_moves_a_visit_later_by_less_than_its_share() -> None:
    clock, rounds = FakeClock(1000.0), Rounds(some(3), 10, "x")
    visits, runner, task = begun(clock, rounds, jitter=0.2)
    await clock.turn(60, 0.02)
    await end(task, runner)
    places = {rounds.visit((0, n))[1]: rounds.visit((0, n))[0] for n in range(3)}
    moved = [(at - places[row]) % 10 for at, row in visits.made]
    assert max(moved) < 2.1
    assert len({round(one, 1) for one in moved}) > 5


async def test_a_list_of_nothing_ends_at_once() -> None:
    clock = FakeClock()
    _, runner, task = begun(clock, Rounds(Targets(), 10, "x"))
    await asyncio.wait_for(task, 5)
    await runner.close()
