"""Sites that send too much, too often, too deep or nonsense: the console keeps little, stays quick, says it once."""

import asyncio
import json
import logging
import sys
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.runtime.about import mark_of
from amon.runtime.fleet import Fleet
from amon.runtime.gather import Job, gathering
from amon.runtime.mailbox import WAITING_MOST, Gate, Letter, Mailbox
from amon.runtime.tame import DEEPEST, NODES_MOST, NOTE_MOST, TEXT_MOST, tame
from amon.wire import (
    Accepted,
    Cancel,
    Ended,
    Fetch,
    HealthReport,
    NeedsWord,
    Output,
    Payload,
    Progress,
    Request,
    Whole,
    encode,
    encode_health,
)
from amon.words import State
from amon.xmpp.events import Received, Seen
from tests.runtime.console import JOB_ID, Desk, jid

DEEP = 900  # what the reader of JSON lets pass


@pytest.fixture
def desk() -> Desk:
    return Desk()


def ended(data: Any = None, text: str = "", **more: Any) -> Ended:
    return Ended(JOB_ID, "done", text, data, **more)


def nested(depth: int) -> Any:
    found: Any = []
    for _ in range(depth):
        found = [found]
    return found


def depth_of(value: Any) -> int:
    """0 for a list of plain values."""
    depth, level = -1, [value]
    while level := [one for one in level if isinstance(one, list | dict)]:
        depth += 1
        level = [below for one in level for below in (one.values() if isinstance(one, dict) else one)]
    return depth


# One payload


@pytest.mark.parametrize(
    ("payload", "wanted"),
    [
        (ended(text="x" * 60_000), ended(text="x" * TEXT_MOST, cut=True)),
        (ended(10**400), ended(cut=True)),
        (ended({"k" * 5000: 1}), ended({"k" * NOTE_MOST: 1})),
        (ended(seconds=-1.0), ended()),
        (ended(whole=Whole(10**300, "0" * 64)), ended()),
        (ended(whole=Whole(5, "0" * 64, 10**300)), ended()),
        (ended(seconds=1e300), ended()),
        (ended(columns=(("n" * 500, "u" * 500, "a" * 500),)), ended(columns=(("n" * 64, "u" * 16, "a" * NOTE_MOST),))),
        (ended([1, "a", None, True, 1.5, {"a": []}]), ended([1, "a", None, True, 1.5, {"a": []}])),
        (Progress(JOB_ID, "p" * 60_000, 7.0), Progress(JOB_ID, "p" * NOTE_MOST)),
        (Progress(JOB_ID, "half", 0.5), Progress(JOB_ID, "half", 0.5)),
        (NeedsWord(JOB_ID, "change", "w" * 60_000), NeedsWord(JOB_ID, "change", "w" * TEXT_MOST)),
        (Accepted(JOB_ID), Accepted(JOB_ID)),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_payload_is_cut_to_what_an_honest_site_sends(payload: Payload, wanted: Payload) -> None:
    assert tame(payload)[0] == wanted


def test_data_is_neither_deep_nor_many() -> None:
    deep, _ = tame(ended(nested(DEEP)))
    many, cost = tame(ended([{} for _ in range(NODES_MOST + 5000)]))
    assert isinstance(deep, Ended)
    assert isinstance(many, Ended)
    assert depth_of(deep.data) <= DEEPEST
    assert len(many.data) < NODES_MOST
    assert (deep.cut, many.cut) == (True, True)
    assert cost < 3_000_000


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.text(), st.floats())
def test_whatever_it_is_it_comes_out_small_and_can_be_written_again(data: Any, text: str, seconds: float) -> None:
    tamed, cost = tame(ended(data, text, seconds=seconds))
    assert isinstance(tamed, Ended)
    json.dumps(tamed.data, allow_nan=False)
    assert depth_of(tamed.data) <= DEEPEST
    assert cost > 0
    assert tame(tamed)[0] == tamed, "what is tame stays as it is"


# The mail of a job


def letter(site: str, payload: Payload | None, size: int = 0) -> Letter:
    return Letter(site, payload, 0.0, size=size)


async def test_strangers_have_one_place_in_the_mail_of_a_job_however_many_they_are() -> None:
    desk = Desk()
    await desk.enter("cern")
    with desk.fleet.mail(JOB_ID) as box:
        for number in range(500):
            desk.clock.advance(0.1)  # so that the gate lets in each of them
            desk.hear(f"{number}@elsewhere.example", Ended(JOB_ID, "done", "up"))
            desk.hear(f"{number}@elsewhere.example", Progress(JOB_ID, "at it"))
        desk.hear(jid("cern"), Ended(JOB_ID, "done", "up"))
        letters = waiting(box)
    assert (len(letters), letters[-1].site) == (WAITING_MOST + 1, "cern")
    assert letters[0].site == "0@elsewhere.example"


def waiting(box: Mailbox) -> list[Letter]:
    found = []
    while not box.empty():
        found.append(box.get_nowait())
    return found


async def test_of_notes_of_progress_the_last_waits_and_of_the_rest_a_few() -> None:
    box = Mailbox()
    for number in range(1000):
        box.put_nowait(letter("eve", Progress(JOB_ID, str(number))))
        box.put_nowait(letter("eve", Accepted(JOB_ID)))
    box.put_nowait(letter("cern", ended()))
    found = waiting(box)
    assert len(found) == WAITING_MOST + 1
    assert found[0].payload == Progress(JOB_ID, "999")
    assert found[-1].site == "cern", "one site does not crowd out another"
    assert box.dropped > 900
    box.put_nowait(letter("eve", ended()))
    assert len(waiting(box)) == 1, "when they are read there is room again"


async def test_a_site_that_streams_for_ever_to_who_wants_an_answer_is_let_go_after_a_day(desk: Desk) -> None:
    await desk.enter("eve", "cern")
    desk.replies = lambda site, payload: [Ended(JOB_ID, "done", "up")] if site == "cern" else []
    with gathering(desk.fleet, None, Job(JOB_ID, "uptime", ("eve", "cern")), desk.clock) as made:
        made.on_output = lambda site, part: None
        made.send()
        collecting = asyncio.create_task(made.collect())
        part = 0
        while not collecting.done() and desk.clock.monotonic() < 100_000:
            part += 1
            desk.hear(jid("eve"), Output(JOB_ID, part, ("x",)))  # also when it was told to end
            await desk.clock.turn(60, 30)
        ended = desk.clock.monotonic()
        collecting.cancel()
        await asyncio.wait((collecting,))
    assert 86_400 <= ended < 86_400 + 300
    assert made.book["eve"].state is State.lost
    assert made.book["cern"].state is State.done
    assert Cancel in [type(payload) for to, payload, _ in desk.wire.sent if to.startswith("eve@")]


async def test_that_a_site_is_there_again_and_again_is_said_once_until_it_is_read() -> None:
    box = Mailbox()
    for _ in range(100):
        box.put_nowait(Letter("eve", None, 0.0, here=True))
    box.put_nowait(Letter("cern", None, 0.0, here=True))
    assert [one.site for one in waiting(box)] == ["eve", "cern"]
    box.put_nowait(Letter("eve", None, 0.0, here=True))
    assert len(waiting(box)) == 1


async def test_a_site_that_comes_and_goes_for_ever_is_asked_a_few_times_what_became_of_it(desk: Desk) -> None:
    await desk.enter("eve", "cern")
    desk.replies = lambda site, payload: [Accepted(JOB_ID)] if isinstance(payload, Request) else []
    with gathering(desk.fleet, None, Job(JOB_ID, "uptime", ("eve", "cern")), desk.clock) as made:
        made.send()
        for _ in range(20):
            desk.go("eve")
            desk.show("eve")
            await made.until(lambda: made._letters.empty())
        assert made.book["eve"].state is State.lost
    assert [type(payload) for to, payload, _ in desk.wire.sent if to.startswith("eve@")] == [Request] + [Fetch] * 5


async def test_what_all_answers_together_may_take_has_an_end() -> None:
    box = Mailbox(kept_most=1_000_000)
    for number in range(10):
        box.put_nowait(letter(f"site-{number}", ended(["data"], "text"), 300_000))
    kept = [one.payload for one in waiting(box)]
    assert [isinstance(one, Ended) and one.data for one in kept].count(["data"]) == 3
    assert all(isinstance(one, Ended) and one.state == "done" for one in kept), "how it ended is kept of all"
    assert isinstance(kept[-1], Ended)
    assert box.tamed(ended(["a"]), 100)[0] == ended(["a"]), "what is short always has room"
    assert (kept[-1].cut, "more answers than fit" in kept[-1].text) == (True, True)


def test_a_flood_is_not_read_and_a_steady_site_is() -> None:
    gate = Gate(letters=10, letters_again=5, characters=1000, characters_again=100)
    assert sum(gate.takes("eve", 10, 0.0) for _ in range(1000)) == 10
    assert gate.takes("cern", 10, 0.0)
    assert all(gate.takes("cern", 10, 0.25 * n) for n in range(400)), "four notes a second for long"
    assert sum(gate.takes("eve", 10, 2.0) for _ in range(1000)) == 10
    assert not gate.takes("mallory", 1001, 0.0)
    assert gate.takes("eve", 10, 1.0) is False, "a clock that goes back gives nothing"


# All of it, by way of the fleet


async def test_a_site_that_is_asked_page_after_page_may_answer_each_in_full(desk: Desk) -> None:
    await desk.enter("cern")
    page = "x" * 16_000
    for number in range(300):
        ident = f"{number:026}"
        with gathering(desk.fleet, None, Job(ident, "audit", ("cern",)), desk.clock) as made:
            made.send()
            text = encode(Ended(ident, "done", page))
            desk.fleet.received(Received(jid("cern"), f"{jid('cern')}/agent", "", payload=text, id=f"{ident}-ended"))
            await made.collect()
        assert made.book["cern"].text == page, number


async def test_of_hundreds_of_sites_some_answer_in_endless_pieces_and_it_costs_little(desk: Desk) -> None:
    fleet = Fleet(desk.clock, kept_most=16 * 2**20)
    fleet.connection, desk.fleet = desk.fleet.connection, fleet
    names = [f"site-{number:03}" for number in range(300)]
    await desk.enter(*names)
    piece = encode(ended([[]] * 20_000, "x" * 15_000))  # 75 KB as text, 1.5 MB as lists
    before = psutil.Process().memory_info().rss
    with gathering(fleet, None, Job(JOB_ID, "uptime", tuple(names)), desk.clock) as made:
        made.send()
        for name in names[:20]:  # nobody reads meanwhile: somebody thinks about a question
            for _ in range(300):
                fleet.received(Received(jid(name), f"{jid(name)}/agent", "", payload=piece))
        assert psutil.Process().memory_info().rss - before < 150 * 2**20, "of 450 MB as text"
        for name in names[20:]:
            desk.hear(jid(name), ended(text="up"))
        await made.collect()
    assert {row.state for row in made.book.rows()} == {State.done}
    assert made.book["site-299"].text == "up", "an honest site is heard among them"


async def test_the_same_deep_answer_twice_ends_no_console(desk: Desk) -> None:
    await desk.enter("eve")
    with gathering(desk.fleet, None, Job(JOB_ID, "uptime", ("eve",)), desk.clock) as made:
        made.send()
        for _ in range(3):
            desk.hear(jid("eve"), ended(nested(DEEP)))
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(200)  # a stack that is nearly full, as below a face that draws
        try:
            await made.collect()
        finally:
            sys.setrecursionlimit(before)
    assert made.book["eve"].state is State.done


async def test_what_cannot_be_read_costs_one_line_each_and_a_flood_of_it_a_few(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    await desk.enter("eve", "cern")
    caplog.set_level(logging.DEBUG, "amon.fleet")
    caplog.clear()
    desk.hear(jid("cern"), '{"v":1,"body":"{}","' + "x" * 100_000 + '":1}')
    (record,) = caplog.records
    assert len(record.getMessage()) < 500
    for number in range(5000):
        desk.hear(jid("eve"), "nonsense")
        desk.fleet.received(Received(f"stranger-{number}@x.example", "", "", payload="nonsense"))
    assert len(caplog.records) <= 11, "five of eve, five of all strangers together, and the one before"


async def test_presence_and_facts_of_a_site_are_kept_short(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    await desk.enter("eve")
    health = encode_health(HealthReport("ok", 1))
    desk.fleet.seen(Seen(jid("eve"), "agent", True, "", "s" * 500_000, health, "m" * 500_000))
    site = desk.fleet.sites["eve"]
    assert (len(site.status), len(site.mark)) == (1000, 64)
    facts = {"tag": tuple(f"t{number}={'v' * 100}" for number in range(5000))}
    await _tell(desk.fleet, desk, facts)
    assert desk.fleet.known == {}
    assert desk.fleet.sites["eve"].tags == {}


async def _tell(fleet: Fleet, desk: Desk, facts: dict[str, tuple[str, ...]]) -> None:
    desk.wire.tags[jid("eve")] = facts
    desk.show("eve", mark=mark_of(facts))
    await fleet.look_up()


async def test_a_long_queue_of_bad_presence_fills_no_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    await desk.enter("eve")
    for _ in range(1000):
        desk.fleet.seen(Seen(jid("eve"), "agent", True, "", "", "{" * 4000, None))
    assert len([one for one in caplog.records if "health of eve" in one.getMessage()]) == 5
