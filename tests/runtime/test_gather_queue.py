"""A job that waits for sites which are offline, and one that is taken up again from the rows that were kept."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from amon.job import Plan, Wait
from amon.runtime.gather import Gathering, Job, gathering
from amon.runtime.proofs import Word
from amon.store.ledger import KeptRow
from amon.wire import Ended, Fetch, Payload, Progress, Request, encode
from amon.words import NOT_KNOWN, State
from tests.runtime.console import JOB_ID, Desk, jid
from tests.runtime.test_gather_turns import accepts, asked, at_work, end, settle, states

NAMES = ("cern", "desy", "fnal", "kek")


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.enter(*NAMES)
    desk.replies = accepts
    return desk


def job(desk: Desk, plan: Plan = Plan(), names: tuple[str, ...] = NAMES, wait: float | None = None) -> Job:  # noqa: B008
    until = None if wait is None else desk.clock.time() + wait
    return Job(JOB_ID, "service restart httpd", names, plan=plan, queue_until=until)


def away(desk: Desk, *names: str) -> None:
    for name in names:
        desk.go(name)
        desk.not_there.add(name)


async def back(desk: Desk, *names: str) -> None:
    for name in names:
        desk.not_there.discard(name)
        desk.show(name)
    await settle()


def fetched(desk: Desk) -> list[str]:
    return [to.partition("@")[0] for to, payload, _ in desk.wire.sent if isinstance(payload, Fetch)]


async def test_a_site_whose_line_was_cut_unseen_is_asked_again_when_it_shows_itself(desk: Desk) -> None:
    """Its server takes it for there for a minute after a power loss, so nothing bounces and nobody accepts."""
    desk.replies = lambda site, request: [] if site == "desy" else accepts(site, request)
    async with at_work(desk, job(desk, names=NAMES[:2], wait=3600.0)) as made:
        await end(desk, "cern")
        desk.clock.advance(10)
        await settle()
        row = made.book["desy"]
        assert (row.state, row.waits, row.may_have) == (State.pending, Wait.offline, True)
        assert row.text == "did not accept in 5 s; is asked again"
        desk.go("desy")
        await settle()
        assert not made.book.closed
        desk.replies = accepts
        await back(desk, "desy")
        await end(desk, "desy")
        assert states(made) == {"cern": "done", "desy": "done"}
    assert asked(desk).count("desy") == 2


async def test_a_site_that_never_accepts_is_asked_once_a_minute_and_expires_in_the_end(desk: Desk) -> None:
    desk.replies = lambda site, request: []
    async with at_work(desk, job(desk, names=NAMES[:1], wait=300.0)) as made:
        for _ in range(70):
            desk.clock.advance(5)
            await settle()
        assert states(made) == {"cern": "expired"}
    assert 4 <= asked(desk).count("cern") <= 12


async def test_a_site_that_is_offline_is_asked_when_it_comes_back(desk: Desk) -> None:
    away(desk, "desy")
    async with at_work(desk, job(desk, names=NAMES[:2], wait=3600.0)) as made:
        row = made.book["desy"]
        assert (row.state, row.waits, row.text) == (State.pending, Wait.offline, "offline; waits until 14:46 UTC")
        await end(desk, "cern")
        desk.clock.advance(3000)
        await settle()
        assert not made.book.closed
        await back(desk, "desy")
        assert made.book["desy"].state is State.accepted
        await end(desk, "desy")
    assert asked(desk) == ["cern", "desy", "desy"]  # the first came back undelivered
    assert made.book.summary() == "2 sites: 2 done"


async def test_who_does_not_come_in_time_is_expired_and_is_not_asked_any_more(desk: Desk) -> None:
    away(desk, "desy")
    async with at_work(desk, job(desk, names=("desy",), wait=3600.0)) as made:
        desk.clock.advance(3600)
    assert (states(made), made.book["desy"].text) == ({"desy": "expired"}, "was not reached in time")
    assert asked(desk) == ["desy"]


async def test_a_machine_that_slept_past_the_time_asks_nobody_when_it_wakes(desk: Desk) -> None:
    away(desk, "desy")
    async with at_work(desk, job(desk, names=("desy",), wait=3600.0)) as made:
        desk.clock.step_back(-4000.0)  # the time of day went on, the monotonic one did not: clock_gettime(2)
        await back(desk, "desy")
        assert (asked(desk), made.book["desy"].state) == (["desy"], State.expired)


async def test_without_a_queue_who_is_offline_is_not_here_at_once(desk: Desk) -> None:
    away(desk, "desy")
    async with at_work(desk, job(desk, names=("desy",))) as made:
        pass
    assert states(made) == {"desy": "not-here"}


async def test_who_waits_takes_no_place_of_a_batch_and_comes_first_when_he_is_there(desk: Desk) -> None:
    away(desk, "cern", "desy")
    async with at_work(desk, job(desk, Plan(batch=1), wait=3600.0)) as made:
        assert asked(desk) == ["cern", "desy", "fnal"]
        await back(desk, "cern")
        assert (made.book["cern"].waits, made.book.under_way) == (Wait.turn, 1)
        await end(desk, "fnal")
        assert asked(desk)[3:] == ["cern"]
        await end(desk, "cern")
        await end(desk, "kek")
        await back(desk, "desy")
        await end(desk, "desy")
    assert made.book.summary() == "4 sites: 4 done"


async def test_a_site_that_went_before_it_accepted_is_asked_again_and_does_nothing_twice(desk: Desk) -> None:
    desk.replies = lambda site, payload: []
    async with at_work(desk, job(desk, names=("cern",), wait=3600.0)) as made:
        desk.go("cern")
        await settle()
        assert made.book["cern"].waits is Wait.offline
        desk.replies = lambda site, payload: [Ended(JOB_ID, "done", "as before")]
        await back(desk, "cern")
    assert states(made) == {"cern": "done"}
    first, second = [payload for _, payload, _ in desk.wire.sent if isinstance(payload, Request)]
    assert first.id == second.id


async def test_presence_that_overtook_the_bounce_is_found_a_minute_later(desk: Desk) -> None:
    desk.not_there.add("cern")  # and shown as there all the time
    async with at_work(desk, job(desk, names=("cern",), wait=3600.0)) as made:
        assert made.book["cern"].waits is Wait.offline
        desk.not_there.clear()
        desk.clock.advance(60)
        await settle()
        assert asked(desk) == ["cern", "cern"]
        await end(desk, "cern")


async def test_a_queue_is_cancelled_like_anything_else(desk: Desk) -> None:
    away(desk, "cern")
    async with at_work(desk, job(desk, names=("cern",), wait=3600.0)) as made:
        made.cancel()
    assert states(made) == {"cern": "not-started"}


async def test_a_queue_ends_with_the_time_of_the_whole_job(desk: Desk) -> None:
    away(desk, "cern")
    async with at_work(desk, job(desk, Plan(within=60.0), names=("cern",), wait=3600.0)) as made:
        desk.clock.advance(60)
    assert states(made) == {"cern": "not-started"}


async def test_a_queue_outlives_a_connection_that_is_lost_for_hours(desk: Desk) -> None:
    away(desk, "cern")
    async with at_work(desk, job(desk, Plan(batch=1), names=NAMES[:2], wait=36000.0)) as made:
        await end(desk, "desy")
        desk.wire.online = False
        await desk.clock.turn(7200, 600)
        assert not made.book.closed
        desk.wire.online = True
        await back(desk, "cern")
        await end(desk, "cern")


async def test_a_site_that_was_lost_and_comes_back_is_asked_what_became_of_it(desk: Desk) -> None:
    async with at_work(desk, job(desk, names=NAMES[:2])) as made:
        desk.hear(jid("cern"), Progress(JOB_ID, "copying", 0.4))
        await settle()
        desk.go("cern")
        await settle()
        assert made.book["cern"].text == "accepted, then went offline; last word: 40 % copying"
        desk.replies = lambda site, payload: [Ended(JOB_ID, "done", "copied")] if isinstance(payload, Fetch) else []
        await back(desk, "cern")
        assert (fetched(desk), made.book["cern"].state, made.book["cern"].late) == (["cern"], State.done, True)
        await end(desk, "desy")


# Taken up again


def kept(site: str, state: str = "pending", *, asked: bool = False, **more: Any) -> KeptRow:
    return KeptRow(JOB_ID, site, state, asked=asked, changed=999_990.0, **more)


async def resumed(desk: Desk, wanted: Job, *rows: KeptRow) -> Gathering:
    """Taken up, fetched and collected; nothing is waited for besides."""
    with gathering(desk.fleet, None, wanted, desk.clock) as made:
        made.resume(rows)
        async with asyncio.timeout(5):
            await made.fetch()
            await made.collect()
    return made


DONE = Ended(JOB_ID, "done", "copied", seconds=3.0)


def remembers(site: str, payload: Payload) -> Iterable[Payload]:
    """Knows every request that it is asked about, and does every other."""
    yield DONE if isinstance(payload, Fetch) else Ended(JOB_ID, "done", "did it now")


def forgets(site: str, payload: Payload) -> Iterable[Payload]:
    """Was never asked before."""
    yield Ended(JOB_ID, "expired", NOT_KNOWN) if isinstance(payload, Fetch) else Ended(JOB_ID, "done", "did it now")


@pytest.mark.parametrize("state", ["pending", "accepted", "silent", "lost", "running", "cancelled", "not-here"])
async def test_who_has_not_said_how_it_ended_is_asked_and_what_he_says_amends_the_row(desk: Desk, state: str) -> None:
    desk.replies = remembers
    made = await resumed(desk, job(desk, names=("cern",)), kept("cern", state, asked=True, text="before"))
    assert (fetched(desk), asked(desk)) == (["cern"], [])
    assert (made.book["cern"].state, made.book["cern"].text) == (State.done, "copied")


async def test_what_was_reported_is_not_asked_again_and_stays_as_it_was_kept(desk: Desk) -> None:
    row = kept("cern", "failed", asked=True, text="no", outcome=encode(Ended(JOB_ID, "failed", "no", {"a": 1})),
               reported=True, late=True, word="signed")  # fmt: skip
    made = await resumed(desk, job(desk, names=("cern",)), row)
    assert desk.wire.sent == []
    restored = made.book["cern"]
    assert restored.outcome is not None
    assert (restored.state, restored.late, restored.reported) == (State.failed, True, True)
    assert (restored.outcome.answer.data, made.words) == ({"a": 1}, {"cern": Word.signed})
    assert restored.changed == -10.0


async def test_an_outcome_that_cannot_be_read_any_more_leaves_its_words(desk: Desk) -> None:
    row = kept("cern", "done", asked=True, text="copied", outcome='{"type":"of the future"}', reported=True)
    made = await resumed(desk, job(desk, names=("cern",)), row)
    assert (made.book["cern"].state, made.book["cern"].text) == (State.done, "copied")


async def test_who_was_never_asked_is_asked_now_in_his_turn(desk: Desk) -> None:
    desk.replies = forgets
    rows = (kept("cern", "done", asked=True, reported=True), kept("desy"), kept("fnal"), kept("kek"))
    made = await resumed(desk, job(desk, Plan(batch=1)), *rows)
    assert asked(desk) == ["desy", "fnal", "kek"]
    assert "cern" not in fetched(desk)
    assert made.book.summary() == "4 sites: 4 done"


async def test_a_site_that_does_not_know_what_it_was_sent_did_nothing_and_may_still_do_it(desk: Desk) -> None:
    desk.replies = forgets
    made = await resumed(desk, job(desk, names=NAMES[:2]), kept("cern", asked=True), kept("desy", "silent", asked=True))
    assert (states(made), asked(desk)) == ({"cern": "silent", "desy": "silent"}, [])
    assert {row.text for row in made.book.rows()} == {"asked again, it does not know the request: it did nothing yet"}
    assert not any(row.late for row in made.book.rows())


async def test_a_site_that_accepted_and_does_not_know_it_any_more_is_lost(desk: Desk) -> None:
    desk.replies = forgets
    made = await resumed(desk, job(desk, names=("cern",)), kept("cern", "accepted", asked=True, text="half"))
    assert made.book["cern"].text == "accepted, and now it does not know the request; last word: half"


async def test_those_words_of_a_site_that_nobody_asked_are_an_outcome_like_any_other(desk: Desk) -> None:
    async with at_work(desk, job(desk, names=("cern",))) as made:
        await end(desk, "cern", state="expired", text=NOT_KNOWN)
    assert (made.book["cern"].state, made.book["cern"].reported) == (State.expired, True)


async def test_a_site_that_does_not_answer_is_waited_for_no_longer_than_for_an_acceptance(desk: Desk) -> None:
    desk.replies = lambda site, payload: []
    with gathering(desk.fleet, None, job(desk, names=("cern",)), desk.clock) as made:
        made.resume([kept("cern", "lost", asked=True, text="accepted, then went offline")])
        fetching = asyncio.create_task(made.fetch())
        await settle()
        desk.clock.advance(4.9)
        await settle()
        assert not fetching.done()
        desk.clock.advance(0.1)
        async with asyncio.timeout(5):
            await fetching
            await made.collect()
    assert (made.book["cern"].state, made.book["cern"].text) == (State.lost, "accepted, then went offline")


async def test_asked_what_became_of_it_who_is_offline_is_told_so_and_waited_for_no_longer(desk: Desk) -> None:
    away(desk, "cern", "desy", "fnal")
    rows = (kept("cern", "accepted", asked=True), kept("desy", "silent", asked=True, text="x"), kept("fnal"))
    made = await resumed(desk, job(desk, names=NAMES[:3]), *rows)
    assert states(made) == {"cern": "lost", "desy": "silent", "fnal": "not-here"}


async def test_a_queue_that_is_taken_up_waits_on(desk: Desk) -> None:
    away(desk, "cern")
    with gathering(desk.fleet, None, job(desk, names=("cern",), wait=3600.0), desk.clock) as made:
        made.resume([kept("cern", text="offline; waits until 14:46 UTC")])
        await made.fetch()
        collecting = asyncio.create_task(made.collect())
        await settle()
        assert made.book["cern"].waits is Wait.offline
        await back(desk, "cern")
        await end(desk, "cern")
        async with asyncio.timeout(5):
            await collecting
    assert states(made) == {"cern": "done"}


async def test_a_queued_request_that_never_arrived_is_sent_by_who_takes_it_up(desk: Desk) -> None:
    desk.replies = forgets
    made = await resumed(desk, job(desk, names=("cern",), wait=60.0), kept("cern", asked=True))
    assert (states(made), asked(desk)) == ({"cern": "done"}, ["cern"])


async def test_a_look_at_a_queued_request_that_never_arrived_leaves_it_to_who_delivers(desk: Desk) -> None:
    desk.replies = forgets
    with gathering(desk.fleet, None, job(desk, names=("cern",), wait=60.0), desk.clock) as made:
        made.resume([kept("cern", asked=True)], begins=False)
        async with asyncio.timeout(5):
            await made.fetch()
    assert (made.book["cern"].waits, made.book.closed, asked(desk)) == (Wait.turn, False, [])


async def test_a_queue_that_is_taken_up_after_its_time_begins_nobody(desk: Desk) -> None:
    desk.replies = forgets
    made = await resumed(desk, job(desk, names=NAMES[:2], wait=-60.0), kept("cern"), kept("desy"))
    assert (states(made), asked(desk)) == ({"cern": "expired", "desy": "expired"}, [])


async def test_a_queue_that_is_over_still_hears_what_was_done_before(desk: Desk) -> None:
    desk.replies = remembers
    made = await resumed(desk, job(desk, names=("cern",), wait=-60.0), kept("cern"))
    assert (states(made), made.book["cern"].text, asked(desk)) == ({"cern": "done"}, "copied", [])


async def test_canaries_that_were_begun_before_are_still_canaries(desk: Desk) -> None:
    desk.replies = lambda site, payload: (
        [Ended(JOB_ID, "failed", "broken")] if site == "kek" else forgets(site, payload)
    )
    made = await resumed(desk, job(desk, Plan(canary=1)), kept("kek", "accepted", asked=True), *map(kept, NAMES[:3]))
    assert states(made) == {"kek": "failed"} | dict.fromkeys(NAMES[:3], "not-started")
    assert made.book["cern"].text == "the canary kek is failed: broken"


async def test_a_site_that_left_the_fleet_meanwhile_is_not_here(desk: Desk) -> None:
    wanted = job(desk, names=("cern", "gone", "left"))
    desk.replies = remembers
    made = await resumed(desk, wanted, kept("cern"), kept("gone"), kept("left", "accepted", asked=True))
    assert states(made) == {"cern": "done", "gone": "not-here", "left": "lost"}
    assert made.book["gone"].text == "is no site of this fleet any more"


async def test_rows_of_sites_that_the_job_does_not_have_are_nothing(desk: Desk) -> None:
    desk.replies = remembers
    made = await resumed(desk, job(desk, names=("cern",)), kept("cern"), kept("desy"))
    assert states(made) == {"cern": "done"}
