"""Sessions as their asker hears them: each part once and in order, whatever the sites and the reader do."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from amon.job import Plan
from amon.runtime.gather import Gathering, Job, gathering
from amon.wire import Accepted, Cancel, Ended, Heard, Output, Payload, encode
from amon.words import State
from amon.xmpp.events import Received
from tests.runtime.console import AGENTS, JOB_ID, Desk, jid
from tests.runtime.tap import until


class Reader:
    """Reads what it gets, or waits until the test lets it."""

    def __init__(self) -> None:
        self.read: list[tuple[str, object]] = []
        self.free = asyncio.Event()
        self.free.set()

    async def hear(self, site: str, part: Output) -> None:
        await self.free.wait()
        self.read += [(site, item) for item in part.items]


class Listener:
    """A job that follows a session at some sites."""

    def __init__(self, desk: Desk, job: Gathering, reader: Reader) -> None:
        self.desk, self.job, self.reader = desk, job, reader
        self.task = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        self.job.send()
        await self.job.collect()

    async def say(self, payload: Payload, site: str = "cern") -> None:
        address, text = jid(site), encode(payload)
        ident = f"{JOB_ID}-{type(payload).__name__.lower()}"
        self.desk.fleet.received(Received(address, f"{address}/agent", "", payload=text, id=ident))
        for _ in range(10):
            await asyncio.sleep(0)

    async def part(self, seq: int, *items: object, site: str = "cern", missed: int = 0) -> None:
        await self.say(Output(JOB_ID, seq, items, missed=missed), site)

    def heard(self, site: str = "cern") -> list[int]:
        """The numbers that the site was told."""
        sent = self.desk.wire.sent
        return [word.seq for to, word, _ in sent if isinstance(word, Heard) and to.startswith(f"{site}@")]

    def cancelled(self) -> bool:
        """Whether the site was told to end it."""
        return any(isinstance(word, Cancel) and to.startswith("cern@") for to, word, _ in self.desk.wire.sent)

    def state(self) -> State:
        return self.job.book["cern"].state

    async def end(self) -> None:
        async with asyncio.timeout(5):
            await self.task


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    desk, reader = Desk(), Reader()
    await desk.enter("cern", "desy")
    with gathering(desk.fleet, None, Job(JOB_ID, "tap follow", ("cern", "desy"), 30.0), desk.clock) as job:
        job.on_output = reader.hear
        made = Listener(desk, job, reader)
        await asyncio.sleep(0)
        await made.say(Ended(JOB_ID, "done"), "desy")
        yield made
        made.task.cancel()
        await asyncio.wait([made.task])


async def test_each_part_is_read_and_then_its_site_hears_so(listener: Listener) -> None:
    await listener.part(1, "one")
    await listener.part(2, "two", "three")
    assert listener.reader.read == [("cern", "one"), ("cern", "two"), ("cern", "three")]
    assert listener.heard() == [1, 2]


async def test_what_comes_twice_is_read_once_and_answered_again(listener: Listener) -> None:
    await listener.part(1, "one")
    listener.desk.clock.advance(2)
    await listener.part(1, "one")
    await listener.part(1, "one")
    assert listener.reader.read == [("cern", "one")]
    assert listener.heard() == [1, 1]  # a flood of the same gets no flood of answers


async def test_what_comes_too_early_waits_until_it_comes_again(listener: Listener) -> None:
    await listener.part(1, "one")
    listener.desk.clock.advance(2)
    await listener.part(3, "three")
    assert listener.heard() == [1, 1]
    await listener.part(2, "two")
    await listener.part(3, "three")
    assert [item for _, item in listener.reader.read] == ["one", "two", "three"]


async def test_a_slow_reader_is_not_hurried_and_the_site_hears_that_he_is_there(listener: Listener) -> None:
    listener.reader.free.clear()
    await listener.part(1, "one")
    assert listener.heard() == []
    await listener.desk.clock.turn(60, 5)
    assert listener.heard() == [0, 0]
    listener.reader.free.set()
    await until(lambda: listener.heard()[-1] == 1)


async def test_no_more_than_eight_parts_of_a_site_wait(listener: Listener) -> None:
    listener.reader.free.clear()
    for seq in range(1, 40):
        await listener.part(seq, seq)
    listener.reader.free.set()
    await until(lambda: 9 in listener.heard())
    await listener.part(10, 10)
    # The first was with the reader already; eight waited; all beyond was passed over.
    assert [item for _, item in listener.reader.read] == list(range(1, 11))


async def test_an_open_session_has_no_deadline_while_it_speaks(listener: Listener) -> None:
    await listener.say(Accepted(JOB_ID))
    for seq in range(1, 10):
        await listener.part(seq)
        await listener.desk.clock.turn(30, 5)
    assert listener.state() == State.accepted
    assert listener.reader.read == []  # those were only signs of life
    await listener.say(Ended(JOB_ID, "done", "9 lines"))
    await listener.end()
    assert listener.state() == State.done


async def test_one_that_falls_silent_is_lost(listener: Listener) -> None:
    await listener.part(1, "one")
    await listener.desk.clock.turn(150, 5)
    await listener.end()
    assert listener.state() == State.lost


async def test_what_is_never_next_shows_no_open_session(listener: Listener) -> None:
    await listener.say(Accepted(JOB_ID))
    for _ in range(8):
        for seq in (999, 2, 0, -1):
            await listener.part(seq, "x")
        await listener.desk.clock.turn(5, 5)
    await listener.end()
    assert listener.state() == State.lost
    assert listener.reader.read == []


async def test_what_was_heard_and_comes_again_shows_that_it_is_open(listener: Listener) -> None:
    for _ in range(5):
        await listener.part(1, "one")
        await listener.desk.clock.turn(85, 5)
    assert listener.state() == State.accepted
    for seq in (999, 3, 0):  # from now on it says nothing that could be
        await listener.part(seq, "x")
        await listener.desk.clock.turn(30, 5)
    await listener.end()
    assert listener.state() == State.lost


async def test_a_session_that_begins_after_the_deadline_is_none(listener: Listener) -> None:
    await listener.say(Accepted(JOB_ID))
    listener.desk.clock.advance(33)  # and nobody has looked at the time before it comes
    await listener.part(1, "one")
    await listener.end()
    assert listener.state() == State.lost


async def test_after_a_day_a_session_is_told_to_end_and_its_site_has_the_last_word(listener: Listener) -> None:
    clock = listener.desk.clock
    while not listener.cancelled():
        assert listener.state() in (State.pending, State.accepted)
        await listener.part(max(listener.heard(), default=0) + 1)
        await clock.turn(85 if clock.monotonic() < 86_300 else 5, 85)
    assert 86_400 <= clock.monotonic() < 86_600
    await listener.say(Ended(JOB_ID, "done", "0 lines; stopped by you"))
    await listener.end()
    assert listener.state() == State.done


async def test_cancel_ends_it_with_the_word_of_its_site(listener: Listener) -> None:
    await listener.part(1, "one")
    listener.job.cancel()
    assert any(isinstance(word, Cancel) for _, word, _ in listener.desk.wire.sent)
    await listener.say(Ended(JOB_ID, "done", "1 line; stopped by you"))
    await listener.end()
    assert listener.state() == State.done


async def test_a_site_that_does_not_confirm_holds_nobody(listener: Listener) -> None:
    await listener.part(1, "one")
    listener.job.cancel()
    await listener.desk.clock.turn(5, 1)
    await listener.end()
    assert listener.state() == State.cancelled


async def test_what_came_before_the_end_is_read_before_the_job_is_over(listener: Listener) -> None:
    listener.reader.free.clear()
    await listener.part(1, "one")
    await listener.say(Ended(JOB_ID, "done", "1 line"))
    assert not listener.task.done()
    listener.reader.free.set()
    await listener.end()
    assert listener.reader.read == [("cern", "one")]


async def test_a_reader_that_never_comes_back_holds_the_job_for_a_moment_only(listener: Listener) -> None:
    listener.reader.free.clear()
    await listener.part(1, "one")
    await listener.say(Ended(JOB_ID, "done", "1 line"))
    await listener.desk.clock.turn(6, 1)
    await listener.end()


async def test_a_part_that_cannot_be_shown_is_passed_over(listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    shown: list[str] = []

    def hear(site: str, part: Output) -> None:
        shown.append(str(part.items[0]))
        if part.seq == 1:
            raise ZeroDivisionError

    listener.job.on_output = hear
    await listener.part(1, "one")
    await listener.part(2, "two")
    assert shown == ["one", "two"]
    assert listener.heard() == [1, 2]
    assert "a part of cern could not be shown" in caplog.text


async def test_nobody_hears_where_nobody_reads(listener: Listener) -> None:
    listener.job.on_output = None
    await listener.part(1, "one")
    assert listener.heard() == []


async def test_sites_that_were_not_asked_or_not_yet_are_not_listened_to() -> None:
    desk, reader = Desk(), Reader()
    await desk.enter("cern", "desy", "fnal")
    job = Job(JOB_ID, "tap follow", ("cern", "desy"), plan=Plan(batch=1))
    with gathering(desk.fleet, None, job, desk.clock) as under_way:
        under_way.on_output = reader.hear
        listener = Listener(desk, under_way, reader)
        await asyncio.sleep(0)
        (asked,) = [to for to, _, _ in desk.wire.sent]
        for name in ("cern", "desy", "fnal"):
            await listener.part(1, name, site=name)
        desk.hear(f"eve@{AGENTS}", Output(JOB_ID, 1, ("eve",)))
        await asyncio.sleep(0)
        assert [site for site, _ in reader.read] == [asked.partition("@")[0]]
        listener.task.cancel()
        await asyncio.wait([listener.task])


# Hostile sites


async def test_a_hostile_site_may_send_what_it_likes_and_no_memory_grows(listener: Listener) -> None:
    listener.reader.free.clear()
    deep: object = "x"
    for _ in range(60):
        deep = [deep]
    for seq in (1, 2, 2**62, 3, 5, 1):
        await listener.part(seq, deep, "y" * 50_000, 10**300, {"z" * 1000: 1}, missed=2**70)
    listener.reader.free.set()
    await until(lambda: 3 in listener.heard())
    kept = [item for _, item in listener.reader.read]
    assert len(kept) == 12
    assert all(len(str(item)) <= 16_500 for item in kept)


async def test_a_fast_site_is_read_as_fast_as_its_reader_and_a_flood_is_not(listener: Listener) -> None:
    letters = listener.job._letters
    for seq in range(1, 1001):
        await listener.part(seq, "x" * 5000)
    assert len(listener.reader.read) == 1000  # 5 MB at once: five times what the gate lets through unread
    listener.reader.free.clear()
    for seq in range(1001, 2001):
        await listener.part(seq, "x" * 5000)
    assert letters.gate.takes("cern", 5000, listener.desk.clock.monotonic()) is False
    listener.reader.free.set()
    await until(lambda: listener.heard()[-1] >= 1009)
    assert listener.heard()[-1] == 1009


async def test_the_room_for_answers_of_others_is_not_used_up_by_a_session(listener: Listener) -> None:
    left = listener.job._letters._left
    for seq in range(1, 200):
        await listener.part(seq, "x" * 5000)
        await listener.part(1, "x" * 5000)
    assert listener.job._letters._left == left


async def test_nothing_runs_on_when_the_block_has_ended() -> None:
    desk, reader = Desk(), Reader()
    await desk.enter("cern")
    before = len(asyncio.all_tasks())
    with gathering(desk.fleet, None, Job(JOB_ID, "tap follow", ("cern",)), desk.clock) as job:
        job.on_output = reader.hear
        listener = Listener(desk, job, reader)
        await asyncio.sleep(0)
        await listener.part(1, "one")
        await listener.say(Ended(JOB_ID, "done"))
        await listener.end()
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before
