"""Deliver and collect: whatever sites do or do not say, each ends in exactly one state and the book closes."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from amon.errors import Failed
from amon.job import ExitCode
from amon.runtime.gather import Gathering, Job, gathering
from amon.wire import Accepted, Cancel, Ended, NeedsWord, Payload, Progress, Request
from amon.words import State
from tests.runtime.console import ROOM, Desk, jid

ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"


@pytest.fixture
def desk() -> Desk:
    return Desk()


def job(*names: str, **more: Any) -> Job:
    return Job(ID, "uptime", names, **more)


def done(site: str, payload: Payload) -> Iterable[Payload]:
    if isinstance(payload, Request):
        yield Ended(payload.id, "done", f"up at {site}")


async def collect(desk: Desk, gathering: Gathering, *steps: float) -> None:
    """Send, and collect while the clock goes on by these steps."""
    gathering.send()
    collecting = asyncio.create_task(gathering.collect())
    for step in steps:
        await settle()
        desk.clock.advance(step)
    async with asyncio.timeout(5):
        await collecting


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def states(made: Gathering) -> dict[str, str]:
    return {row.site: str(row.state) for row in made.book.rows()}


async def gathered(desk: Desk, wanted: Job, *steps: float, room: str | None = None) -> Gathering:
    with gathering(desk.fleet, room, wanted, desk.clock) as made:
        await collect(desk, made, *steps)
    return made


async def test_every_site_that_answers_is_done_without_any_time_passing(desk: Desk) -> None:
    await desk.enter("cern", "desy")
    desk.replies = done
    made = await gathered(desk, job("cern", "desy"))
    assert states(made) == {"cern": "done", "desy": "done"}
    assert made.book.exit_code() is ExitCode.all_done
    assert made.book["cern"].text == "up at cern"
    assert [to for to, _, _ in desk.wire.sent] == [f"{jid('cern')}/agent", f"{jid('desy')}/agent"]


async def test_through_the_room_it_is_one_message_with_a_line_for_people(desk: Desk) -> None:
    await desk.enter("cern", "desy", "fnal")
    desk.in_room()
    desk.replies = done
    made = await gathered(desk, job("cern", "desy"), room=ROOM)
    ((to, request, body),) = desk.wire.sent
    assert (to, body) == (ROOM, "!uptime @cern,desy")
    assert isinstance(request, Request)
    assert (request.names, request.job_sites) == (("cern", "desy"), 2)
    assert states(made) == {"cern": "done", "desy": "done"}


async def test_who_is_not_seen_is_asked_direct_so_that_absence_is_a_fact(desk: Desk) -> None:
    await desk.enter("cern", "desy", "fnal")
    desk.in_room()
    desk.go("fnal")
    desk.not_there.add("fnal")
    desk.replies = done
    made = await gathered(desk, job("cern", "desy", "fnal"), room=ROOM)
    assert [to for to, _, _ in desk.wire.sent] == [ROOM, f"{jid('fnal')}/agent"]
    assert states(made) == {"cern": "done", "desy": "done", "fnal": "not-here"}
    assert "service-unavailable" in made.book["fnal"].text


async def test_who_is_online_but_thrown_out_of_the_room_is_reached_direct_after_a_while(desk: Desk) -> None:
    await desk.enter("cern", "desy")
    desk.in_room()
    desk.thrown_out.add("desy")
    desk.replies = done
    made = await gathered(desk, job("cern", "desy"), 1.9, 0.2, room=ROOM)
    assert [to for to, _, _ in desk.wire.sent] == [ROOM, f"{jid('desy')}/agent"]
    assert states(made) == {"cern": "done", "desy": "done"}


@pytest.mark.parametrize(("count", "ways"), [(1, 1), (2, 1), (100, 1), (101, 101)])
async def test_a_room_is_for_some_but_not_for_one_and_not_for_too_many(desk: Desk, count: int, ways: int) -> None:
    names = tuple(f"s{n:03}" for n in range(count))
    await desk.enter(*names)
    desk.in_room()
    desk.replies = done
    made = await gathered(desk, job(*names), room=ROOM)
    assert len(desk.wire.sent) == ways
    assert made.book.exit_code() is ExitCode.all_done
    assert all(payload.job_sites == count for _, payload, _ in desk.wire.sent if isinstance(payload, Request))


async def test_who_says_nothing_is_silent_and_who_falls_silent_is_lost(desk: Desk) -> None:
    await desk.enter("cern", "desy", "fnal")
    desk.replies = lambda site, payload: [Accepted(ID)] if site == "desy" else []
    made = await gathered(desk, job("cern", "desy", "fnal", deadline=20.0), 5, 17)
    assert states(made) == {"desy": "lost", "cern": "silent", "fnal": "silent"}
    assert made.book.exit_code() is ExitCode.no_answer


async def test_who_goes_offline_after_accepting_is_lost_at_once(desk: Desk) -> None:
    await desk.enter("cern")
    desk.replies = lambda site, payload: [Accepted(ID), Progress(ID, "stopping", 0.5)]
    with gathering(desk.fleet, None, job("cern"), desk.clock) as made:
        made.send()
        collecting = asyncio.create_task(made.collect())
        await settle()
        assert (made.book["cern"].text, made.book["cern"].fraction) == ("stopping", 0.5)
        desk.go("cern")
        await collecting
        assert states(made) == {"cern": "lost"}
        desk.hear(jid("cern"), Ended(ID, "failed", "interrupted"))
        while not made._letters.empty():
            made._enter(made._letters.get_nowait())
        assert (states(made), made.book["cern"].late) == ({"cern": "failed"}, True)


async def test_who_is_still_at_it_at_the_deadline_is_running(desk: Desk) -> None:
    await desk.enter("cern")
    desk.replies = lambda site, payload: [Accepted(ID)]
    with gathering(desk.fleet, None, job("cern", deadline=10.0), desk.clock) as made:
        made.send()
        collecting = asyncio.create_task(made.collect())
        await settle()
        desk.clock.advance(10)
        desk.hear(jid("cern"), Ended(ID, "running", "still at it"))
        await collecting
    assert states(made) == {"cern": "running"}


async def test_an_answer_of_who_was_not_asked_is_listed_apart(desk: Desk) -> None:
    await desk.enter("cern", "desy")
    desk.replies = done
    with gathering(desk.fleet, None, job("cern"), desk.clock) as made:
        made.send()
        desk.hear(jid("desy"), Ended(ID, "done", "me too"))
        desk.hear("eve@example.org", Ended(ID, "failed", "I am cern"))
        await made.collect()
    assert states(made) == {"cern": "done"}
    assert [one.site for one in made.book.unexpected] == ["desy", "eve@example.org"]


async def test_a_word_of_state_that_nobody_knows_is_a_failure_with_that_word(desk: Desk) -> None:
    await desk.enter("cern", "desy")
    desk.replies = lambda site, payload: [Ended(ID, "splendid" if site == "cern" else "not-here", "x")]
    made = await gathered(desk, job("cern", "desy"), 5)
    assert states(made) == {"cern": "failed", "desy": "silent"}
    assert made.book["cern"].text == "unknown state 'splendid': x"
    assert made.book.unexpected[0].why == "no site can report not-here"


def careful(site: str, payload: Payload) -> Iterable[Payload]:
    """Asks back unless it was confirmed."""
    if isinstance(payload, Request):
        yield Ended(ID, "done") if payload.confirmed else NeedsWord(ID, "change", f"would restart at {site}")


async def test_sites_that_ask_back_wait_for_a_yes_however_long_it_takes(desk: Desk) -> None:
    await desk.enter("cern", "desy", "fnal")
    desk.replies = lambda site, payload: [Ended(ID, "refused", "no")] if site == "fnal" else careful(site, payload)
    with gathering(desk.fleet, None, job("cern", "desy", "fnal"), desk.clock) as made:
        await collect(desk, made)
        assert {site: word.text for site, word in made.asking.items()} == {
            "cern": "would restart at cern",
            "desy": "would restart at desy",
        }
        desk.clock.advance(3600)
        made.confirm()
        async with asyncio.timeout(5):
            await made.collect()
    assert states(made) == {"fnal": "refused", "cern": "done", "desy": "done"}
    assert all(payload.confirmed for _, payload, _ in desk.wire.sent[3:] if isinstance(payload, Request))


async def test_who_asked_back_and_then_said_how_it_ended_is_not_asked_again(desk: Desk) -> None:
    await desk.enter("cern", "desy")
    desk.replies = careful
    with gathering(desk.fleet, None, job("cern", "desy"), desk.clock) as made:
        await collect(desk, made)
        desk.hear(jid("cern"), Ended(ID, "failed", "interrupted"))
        await made.collect()
        assert sorted(made.asking) == ["cern", "desy"]
        made._enter(made._letters.get_nowait())
        assert sorted(made.asking) == ["desy"]


async def test_a_site_that_asks_back_although_it_was_confirmed_is_not_waited_for(desk: Desk) -> None:
    await desk.enter("cern")
    desk.replies = lambda site, payload: [NeedsWord(ID, "change")]
    made = await gathered(desk, job("cern", confirmed=True), 5)
    assert (made.asking, states(made)) == ({}, {"cern": "silent"})


async def test_without_a_yes_nothing_was_done_and_the_book_says_so(desk: Desk) -> None:
    await desk.enter("cern", "desy")
    desk.replies = careful
    with gathering(desk.fleet, None, job("cern", "desy"), desk.clock) as made:
        await collect(desk, made)
        made.decline("nobody said yes")
        await made.collect()
    assert states(made) == {"cern": "not-started", "desy": "not-started"}
    assert made.book["cern"].text == "nobody said yes"


async def test_cancelling_tells_the_sites_and_closes_the_book(desk: Desk) -> None:
    await desk.enter("cern", "desy", "fnal")

    def replies(site: str, payload: Payload) -> Iterable[Payload]:
        if isinstance(payload, Cancel):
            yield from [Ended(ID, "cancelled", "stopped")] if site == "cern" else []
        else:
            yield Ended(ID, "done") if site == "fnal" else Accepted(ID)

    desk.replies = replies
    with gathering(desk.fleet, None, job("cern", "desy", "fnal"), desk.clock) as made:
        made.send()
        collecting = asyncio.create_task(made.collect())
        await settle()
        made.cancel()
        await settle()
        desk.clock.advance(2)
        async with asyncio.timeout(5):
            await collecting
    cancelled = [to for to, payload, _ in desk.wire.sent if isinstance(payload, Cancel)]
    assert cancelled == [f"{jid('cern')}/agent", f"{jid('desy')}/agent"]
    assert states(made) == {"cern": "cancelled", "desy": "cancelled", "fnal": "done"}
    assert made.book["cern"].reported
    assert not made.book["desy"].reported


async def test_without_a_session_sending_fails_aloud(desk: Desk) -> None:
    await desk.enter("cern", "desy")
    desk.wire.online = False
    with (
        gathering(desk.fleet, None, job("cern", "desy"), desk.clock) as made,
        pytest.raises(Failed, match="the connection to the server was lost while sending"),
    ):
        made.send()


async def test_nobody_is_a_book_that_is_closed(desk: Desk) -> None:
    made = await gathered(desk, job())
    assert made.book.closed
    assert desk.wire.sent == []


async def test_the_watch_is_called_for_each_change_of_the_book(desk: Desk) -> None:
    await desk.enter("cern", "desy")
    desk.replies = done
    seen: list[int] = []
    with gathering(desk.fleet, None, job("cern", "desy"), desk.clock) as made:
        made.watch = lambda: seen.append(made.book.counts().get(State.done, 0))
        await collect(desk, made)
    assert seen[-1] == 2


async def test_a_thousand_answers_are_collected_in_a_moment(desk: Desk) -> None:
    names = tuple(f"s{n:04}" for n in range(1000))
    await desk.enter(*names)
    desk.replies = done
    async with asyncio.timeout(5):
        made = await gathered(desk, job(*names))
    assert made.book.summary() == "1000 sites: 1000 done"
