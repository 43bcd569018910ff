"""`amon run` in turns, at a real server: who goes first, when it stops, and what is said of the rest."""

from collections.abc import Sequence
from functools import partial

from admin_console.wish import Rolling
from amon.job import ExitCode
from amon.wire import Accepted, Ended, Payload, Request
from tests.admin_console.ground import Ground, noted, pipe, states

NAMES = ("cern", "desy", "fnal", "kek")


class Fleet:
    """Sites that answer, and remember in which order they were asked."""

    def __init__(self, *, bad: frozenset[str] = frozenset()) -> None:
        self.bad = bad
        self.asked: list[str] = []

    async def enter(self, ground: Ground) -> None:
        for name in NAMES:
            await ground.false_site(name, partial(self._answer, name))

    def _answer(self, name: str, request: Request) -> Sequence[Payload]:
        if name not in request.names:  # all in the room hear it
            return []
        self.asked.append(name)
        if name in self.bad:
            return [Accepted(request.id), Ended(request.id, "failed", "no room on the disk")]
        return [Accepted(request.id), Ended(request.id, "done", "did it")]


async def test_a_batch_goes_through_all_sites_in_their_order(ground: Ground) -> None:
    fleet = Fleet()
    await fleet.enter(ground)
    report = await ground.run("all", "odd keep x", yes=True, rolling=Rolling(batch="1"))
    assert fleet.asked == list(NAMES)
    assert report.exit == ExitCode.all_done


async def test_a_canary_that_fails_stops_it_and_the_rest_is_told_which_it_was(ground: Ground) -> None:
    fleet = Fleet(bad=frozenset({"cern"}))
    await fleet.enter(ground)
    report = await ground.run("all", "odd keep x", yes=True, rolling=Rolling(canary=1))
    assert fleet.asked == ["cern"]
    assert states(report) == {"cern": "failed"} | dict.fromkeys(NAMES[1:], "not-started")
    assert report.book["kek"].text == "the canary cern is failed: no room on the disk"
    assert report.exit == ExitCode.failed


async def test_after_more_failures_than_may_be_no_other_site_is_begun(ground: Ground) -> None:
    fleet = Fleet(bad=frozenset({"cern", "desy"}))
    await fleet.enter(ground)
    report = await ground.run("all", "odd keep x", yes=True, rolling=Rolling(batch="1", max_failures="25%"))
    assert fleet.asked == ["cern", "desy"]
    assert states(report) == {"cern": "failed", "desy": "failed", "fnal": "not-started", "kek": "not-started"}


async def test_the_seed_of_a_sample_is_told_and_draws_the_same_sites_again(ground: Ground) -> None:
    fleet = Fleet()
    await fleet.enter(ground)
    face = pipe()
    await ground.run("all", "odd keep x", yes=True, face=face, rolling=Rolling(limit="50%"))
    first, fleet.asked = fleet.asked, []
    (line,) = [line for line in noted(face).splitlines() if "--seed" in line]
    assert line.startswith("2 of 4 sites; --seed ")
    seed = int(line.split()[5])
    await ground.run("all", "odd keep x", yes=True, rolling=Rolling(limit="2", seed=seed))
    assert sorted(fleet.asked) == sorted(first)
    assert len(first) == 2
