"""A job that goes through its sites in turns: batches, canaries, questions and signatures in the middle of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from amon.errors import Failed
from amon.job import Plan, Wait
from amon.runtime.envelopes import FRESH
from amon.runtime.gather import Gathering, Job, gathering
from amon.runtime.signing import signed as sign_job
from amon.wire import Accepted, Cancel, Ended, Fetch, NeedsWord, Payload, Request, read_envelope, unseal
from amon.words import State
from amon.xmpp.events import Online
from tests.runtime.console import JOB_ID, ROOM, Desk, jid
from tests.runtime.hands import key_of
from tests.runtime.scene import ALICE

NAMES = tuple(f"s{number}" for number in range(6))


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.enter(*NAMES)
    return desk


def job(plan: Plan = Plan(), names: tuple[str, ...] = NAMES, **more: Any) -> Job:  # noqa: B008
    return Job(JOB_ID, "service restart httpd", names, plan=plan, **more)


def accepts(site: str, payload: Payload) -> Iterable[Payload]:
    if isinstance(payload, Request):
        yield Accepted(payload.id)


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def at_work(desk: Desk, wanted: Job, room: str | None = None, **more: Any) -> AsyncIterator[Gathering]:
    """Sent, and collected beside the block, at whose end it has to be closed."""
    with gathering(desk.fleet, room, wanted, desk.clock, **more) as made:
        made.send()
        collecting = asyncio.create_task(made.collect())
        await settle()
        yield made
        await settle()
        async with asyncio.timeout(5):
            await collecting


def asked(desk: Desk) -> list[str]:
    """Who got the request, in order."""
    return [to.partition("@")[0] for to, payload, _ in desk.wire.sent if isinstance(payload, Request)]


def requests(desk: Desk) -> list[Request]:
    return [payload for _, payload, _ in desk.wire.sent if isinstance(payload, Request)]


async def end(desk: Desk, *names: str, state: str = "done", text: str = "") -> None:
    for name in names:
        desk.hear(jid(name), Ended(JOB_ID, state, text))
    await settle()


def states(made: Gathering) -> dict[str, str]:
    return {row.site: str(row.state) for row in sorted(made.book.rows(), key=lambda row: row.site)}


async def test_a_batch_slides_and_every_site_is_told_how_many_the_whole_job_has(desk: Desk) -> None:
    desk.replies = accepts
    async with at_work(desk, job(Plan(batch=2))) as made:
        assert asked(desk) == ["s0", "s1"]
        assert made.book["s5"].text == "waits for its turn"
        await end(desk, "s1")
        assert asked(desk) == ["s0", "s1", "s2"]
        await end(desk, "s0", "s2")
        assert asked(desk) == list(NAMES[:5])
        await end(desk, *NAMES[3:5])
        await end(desk, "s5")
    assert {request.job_sites for request in requests(desk)} == {6}
    assert made.book.summary() == "6 sites: 6 done"


async def test_the_first_of_a_batch_go_through_the_room_and_single_ones_direct(desk: Desk) -> None:
    desk.in_room()
    desk.replies = accepts
    async with at_work(desk, job(Plan(batch=3), NAMES[:4]), room=ROOM):
        ((to, request, body),) = desk.wire.sent
        assert (to, body) == (ROOM, "!service restart httpd @s0,s1,s2")
        assert isinstance(request, Request)
        assert (request.names, request.job_sites) == (("s0", "s1", "s2"), 4)
        await end(desk, "s0")
        assert desk.wire.sent[-1][0] == f"{jid('s3')}/agent"
        await end(desk, *NAMES)


async def test_each_batch_has_its_own_reminder(desk: Desk) -> None:
    desk.in_room()
    desk.thrown_out.update(NAMES)
    async with at_work(desk, job(Plan(batch=2), NAMES[:4]), room=ROOM):
        desk.clock.advance(2)
        await settle()
        assert [to for to, _, _ in desk.wire.sent] == [ROOM, f"{jid('s0')}/agent", f"{jid('s1')}/agent"]
        desk.clock.advance(3)
        await settle()
        desk.clock.advance(2)
        await settle()
        assert [to for to, _, _ in desk.wire.sent[3:]] == [ROOM, f"{jid('s2')}/agent", f"{jid('s3')}/agent"]
        desk.clock.advance(3)


async def test_a_canary_that_fails_spares_the_others_and_they_say_which_it_was(desk: Desk) -> None:
    desk.go("s0")
    desk.replies = accepts
    async with at_work(desk, job(Plan(canary=2))) as made:
        assert asked(desk) == ["s1", "s2"]  # s0 is not seen to be there
        await end(desk, "s1")
        await end(desk, "s2", state="failed", text="no room on the disk")
    assert states(made) == {"s0": "not-started", "s1": "done", "s2": "failed"} | dict.fromkeys(NAMES[3:], "not-started")
    assert made.book["s5"].text == "the canary s2 is failed: no room on the disk"


async def test_a_site_that_goes_offline_while_it_waits_is_not_here_at_its_turn_and_costs_no_waiting(desk: Desk) -> None:
    desk.replies = accepts
    async with at_work(desk, job(Plan(batch=1), NAMES[:3])) as made:
        desk.go("s1")
        desk.not_there.add("s1")
        await settle()
        assert made.book["s1"].waits is Wait.turn
        await end(desk, "s0")
        assert states(made) == {"s0": "done", "s1": "not-here", "s2": "accepted"}
        await end(desk, "s2")
    assert desk.clock.monotonic() == 0


async def test_a_site_that_answers_before_its_turn_is_set_apart_and_its_turn_still_comes(desk: Desk) -> None:
    desk.replies = accepts
    async with at_work(desk, job(Plan(batch=1), NAMES[:2])) as made:
        desk.hear(jid("s1"), NeedsWord(JOB_ID, "change", "let me first"))
        desk.hear(jid("s1"), Accepted(JOB_ID))
        await end(desk, "s1")
        assert (made.book["s1"].waits, made.asking) == (Wait.turn, {})
        assert made.book.unexpected[0].why == "was not asked yet"
        await end(desk, "s0")
        assert made.book["s1"].state is State.accepted
        await end(desk, "s1")


def careful(site: str, payload: Payload) -> Iterable[Payload]:
    """Asks back unless it was confirmed."""
    if isinstance(payload, Request):
        yield Accepted(payload.id) if payload.confirmed else NeedsWord(payload.id, "change", f"would, at {site}")


async def test_after_a_yes_the_sites_whose_turn_comes_later_are_not_asked_again(desk: Desk) -> None:
    desk.replies = careful
    with gathering(desk.fleet, None, job(Plan(batch=2)), desk.clock) as made:
        made.send()
        await made.collect()
        assert sorted(made.asking) == ["s0", "s1"]
        assert made.book["s2"].waits is Wait.turn
        desk.clock.advance(3600)
        made.confirm()
        assert made.job.confirmed
        collecting = asyncio.create_task(made.collect())
        for first, second in (NAMES[:2], NAMES[2:4], NAMES[4:]):
            await settle()
            await end(desk, first, second)
        await collecting
    assert asked(desk) == [*NAMES[:2], *NAMES]
    assert [request.confirmed for request in requests(desk)] == [False] * 2 + [True] * 6
    assert {request.job_sites for request in requests(desk)} == {6}
    assert made.book.summary() == "6 sites: 6 done"


async def test_without_a_yes_the_sites_whose_turn_would_come_later_are_not_started_either(desk: Desk) -> None:
    desk.replies = careful
    with gathering(desk.fleet, None, job(Plan(batch=2)), desk.clock) as made:
        made.send()
        await made.collect()
        made.decline("you did not say yes; nothing was done")
        await made.collect()
    assert set(states(made).values()) == {"not-started"}
    assert made.book["s5"].text == "you did not say yes; nothing was done"


async def test_a_canary_may_ask_back_before_the_others_are_asked_anything(desk: Desk) -> None:
    desk.replies = careful
    with gathering(desk.fleet, None, job(Plan(canary=1)), desk.clock) as made:
        made.send()
        await made.collect()
        assert (list(made.asking), asked(desk)) == (["s0"], ["s0"])
        made.confirm()
        collecting = asyncio.create_task(made.collect())
        await settle()
        await end(desk, "s0")
        assert asked(desk) == ["s0", *NAMES]
        await end(desk, *NAMES)
        await collecting


async def test_when_too_many_failed_while_a_person_was_to_be_asked_nobody_is_asked_any_more(desk: Desk) -> None:
    desk.replies = lambda site, payload: accepts(site, payload) if site == "s0" else careful(site, payload)
    async with at_work(desk, job(Plan(batch=3, max_failures=0))) as made:
        assert sorted(made.asking) == ["s1", "s2"]
        await end(desk, "s0", state="failed")
    assert made.asking == {}
    assert states(made) == {"s0": "failed"} | dict.fromkeys(NAMES[1:], "not-started")
    assert made.book["s1"].text == "1 site had not ended well; --max-failures is 0"


async def test_a_yes_that_comes_after_the_time_of_the_whole_job_begins_nothing(desk: Desk) -> None:
    desk.replies = careful
    with gathering(desk.fleet, None, job(Plan(batch=2, within=60.0)), desk.clock) as made:
        made.send()
        await made.collect()
        desk.clock.advance(61)
        made.confirm()
        await made.collect()
    assert asked(desk) == ["s0", "s1"]
    assert set(states(made).values()) == {"not-started"}
    assert "nobody said yes" in made.book["s0"].text


async def test_cancelled_in_the_middle_of_a_batch_only_those_under_way_are_told(desk: Desk) -> None:
    desk.replies = accepts
    async with at_work(desk, job(Plan(batch=2))) as made:
        await end(desk, "s0")
        made.cancel()
        await settle()
        told = [to.partition("@")[0] for to, payload, _ in desk.wire.sent if isinstance(payload, Cancel)]
        assert told == ["s1", "s2"]
        await end(desk, "s1", state="cancelled")
        desk.clock.advance(2)
    assert states(made) == {"s0": "done", "s1": "cancelled", "s2": "cancelled"} | dict.fromkeys(
        NAMES[3:], "not-started"
    )


async def test_a_splay_begins_sites_as_time_goes_on(desk: Desk) -> None:
    desk.replies = lambda site, payload: [Ended(JOB_ID, "done")] if isinstance(payload, Request) else []
    async with at_work(desk, job(Plan(splay=60.0))):
        for number in range(6):
            assert asked(desk) == list(NAMES[: number + 1])
            desk.clock.advance(10)
            await settle()


async def test_a_splayed_job_asks_the_person_as_soon_as_the_first_site_does(desk: Desk) -> None:
    desk.replies = careful
    with gathering(desk.fleet, None, job(Plan(splay=60.0)), desk.clock) as made:
        made.send()
        await made.collect()
        assert (list(made.asking), desk.clock.monotonic()) == (["s0"], 0)
        made.decline("no")
        await made.collect()


async def test_the_end_of_a_job_is_known_before_it_begins(desk: Desk) -> None:
    with gathering(desk.fleet, None, job(Plan(batch=2), deadline=60.0), desk.clock) as made:
        assert made.latest == 3 * 62.0


# Signatures


class Signer:
    """Alice, who signs whatever she is given; counts how often."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.touched: list[tuple[str, ...]] = []
        self.fault: str = ""
        self.may = asyncio.Event()
        self.may.set()

    async def __call__(self, wanted: Job) -> Job:
        self.touched.append(wanted.names)
        await self.may.wait()
        if self.fault:
            raise Failed(self.fault)
        return await sign_job(wanted, ALICE, ROOM, self.desk.clock, self._sign)

    async def _sign(self, message: bytes, namespace: str) -> str:
        return key_of("alice").sign(message, namespace)


def ages(desk: Desk) -> list[float]:
    """How old each signature was when it was sent, as far as the clock stood still since."""
    return [desk.clock.time() - read_envelope(unseal(text).body).iat for _, text in desk.wire.signed]


async def test_one_signature_is_for_the_batches_to_come_as_long_as_it_is_fresh(desk: Desk) -> None:
    signer = Signer(desk)
    desk.replies = accepts
    async with at_work(desk, job(Plan(batch=2), deadline=600.0), seal=signer, sign=True):
        assert signer.touched == [NAMES]
        assert len(desk.wire.signed) == 2
        await end(desk, "s0", "s1")
        assert (len(signer.touched), len(desk.wire.signed)) == (1, 4)
        desk.clock.advance(FRESH)
        await end(desk, "s2", "s3")
        assert signer.touched[1:] == [("s4", "s5")]
        assert ages(desk)[4:] == [0.0, 0.0]
        await end(desk, "s4", "s5")
    assert all(request.job_sites == 6 for request in requests(desk))


async def test_a_signature_is_never_for_more_than_one_request_may_name(desk: Desk) -> None:
    names = tuple(f"site{number:03}" for number in range(450))
    await desk.enter(*names)
    signer = Signer(desk)
    desk.replies = lambda site, payload: [Ended(JOB_ID, "done")]
    closed = asyncio.Event()
    async with at_work(desk, job(Plan(batch=3), names), seal=signer, sign=True) as made:
        made.watch = lambda: closed.set() if made.book.closed else None
        async with asyncio.timeout(20):
            await closed.wait()
    assert [len(touched) for touched in signer.touched] == [200, 200, 50]
    assert made.book.summary() == "450 sites: 450 done"


async def test_nobody_is_begun_with_a_signature_that_is_too_old_to_be_taken(desk: Desk) -> None:
    signer = Signer(desk)
    desk.replies = accepts
    async with at_work(desk, job(Plan(batch=1), deadline=600.0), seal=signer, sign=True):
        for name in NAMES:
            assert ages(desk)[-1] <= FRESH
            desk.clock.advance(100)
            await end(desk, name)
    assert len(signer.touched) == 3


async def test_what_is_signed_ahead_for_others_is_not_said_in_the_room_where_they_would_act_on_it(desk: Desk) -> None:
    desk.in_room()
    desk.replies = accepts
    signer = Signer(desk)
    async with at_work(desk, job(Plan(batch=2), NAMES[:4]), room=ROOM, seal=signer, sign=True):
        assert {to for to, _ in desk.wire.signed} == {f"{jid('s0')}/agent", f"{jid('s1')}/agent"}
        await end(desk, *NAMES[:2])
        await end(desk, *NAMES[2:4])


async def test_a_signature_that_is_for_all_who_are_asked_goes_through_the_room(desk: Desk) -> None:
    desk.in_room()
    desk.replies = accepts
    async with at_work(desk, job(names=NAMES[:2]), room=ROOM, seal=Signer(desk), sign=True):
        assert [to for to, _ in desk.wire.signed] == [ROOM]
        await end(desk, *NAMES[:2])


async def test_where_nobody_signs_the_rest_is_not_started_and_says_why(desk: Desk) -> None:
    signer = Signer(desk)
    desk.replies = accepts
    async with at_work(desk, job(Plan(batch=1), NAMES[:3], deadline=600.0), seal=signer, sign=True) as made:
        signer.fault = "nobody touched the key"
        desk.clock.advance(FRESH)
        await end(desk, "s0")
    assert states(made) == {"s0": "done", "s1": "not-started", "s2": "not-started"}
    assert made.book["s1"].text == "not signed: nobody touched the key"


async def test_while_somebody_signs_what_comes_back_is_read_and_a_cancel_is_heard(desk: Desk) -> None:
    signer = Signer(desk)
    desk.replies = accepts
    async with at_work(desk, job(Plan(batch=2), NAMES[:4], deadline=600.0), seal=signer, sign=True) as made:
        signer.may.clear()
        desk.clock.advance(FRESH)
        await end(desk, "s0")
        assert (made.book["s2"].waits, made.book["s2"].text) == (Wait.signature, "waits for your signature")
        assert made.book.under_way == 2
        await end(desk, "s1")
        assert made.book["s1"].state is State.done
        made.cancel()
    assert states(made) == {"s0": "done", "s1": "done", "s2": "not-started", "s3": "not-started"}
    assert len(desk.wire.signed) == 2


async def test_after_a_yes_with_a_signature_those_who_come_later_are_signed_for_too(desk: Desk) -> None:
    signer = Signer(desk)

    def wants_it_signed(site: str, payload: Payload) -> Iterable[Payload]:
        if isinstance(payload, Request):
            yield Accepted(JOB_ID) if payload.confirmed else NeedsWord(JOB_ID, "danger", "would", signature=True)

    desk.replies = wants_it_signed
    with gathering(desk.fleet, None, job(Plan(batch=1), NAMES[:2]), desk.clock, signer) as made:
        made.send()
        await made.collect()
        made.confirm(await signer(made.again()))
        collecting = asyncio.create_task(made.collect())
        await settle()
        await end(desk, "s0")
        await end(desk, "s1")
        await collecting
    assert signer.touched == [("s0",), ("s1",)]
    assert [read_envelope(unseal(text).body).request.confirmed for _, text in desk.wire.signed] == [True, True]


# The connection


def new_session(desk: Desk) -> None:
    desk.wire.online = True
    desk.fleet.online(Online(False, f"{ALICE}/x"))


async def test_nobody_is_begun_while_there_is_no_connection_and_the_batch_goes_on_with_the_next_one(desk: Desk) -> None:
    desk.replies = accepts
    async with at_work(desk, job(Plan(batch=2), NAMES[:4])) as made:
        desk.wire.online = False
        await end(desk, "s0")
        assert (asked(desk), made.book["s2"].waits) == (["s0", "s1"], Wait.turn)
        desk.clock.advance(20)
        new_session(desk)
        await settle()
        assert asked(desk) == ["s0", "s1", "s2"]
        assert [to.partition("@")[0] for to, payload, _ in desk.wire.sent if isinstance(payload, Fetch)] == ["s1"]
        await end(desk, "s1", "s2")
        await end(desk, "s3")


async def test_without_a_connection_for_long_a_batch_is_given_up(desk: Desk) -> None:
    async with at_work(desk, job(Plan(batch=1), NAMES[:2])) as made:
        desk.wire.online = False
        desk.clock.advance(5)
        await settle()
        desk.clock.advance(119)
        await settle()
        assert not made.book.closed
        desk.clock.advance(1)
    assert states(made) == {"s0": "silent", "s1": "not-started"}
    assert made.book["s1"].text == "the connection to the server was lost before its turn came"


async def test_what_was_sent_into_a_connection_that_was_lost_is_sent_again_in_the_next(desk: Desk) -> None:
    async with at_work(desk, job(names=("s0",))) as made:
        desk.replies = accepts
        new_session(desk)
        await settle()
        assert (asked(desk), made.book["s0"].state) == (["s0", "s0"], State.accepted)
        await end(desk, "s0")


async def test_once_the_time_of_the_whole_job_is_up_it_sleeps_until_something_is_due(desk: Desk) -> None:
    desk.replies = accepts
    watched = 0

    def watch() -> None:
        nonlocal watched
        watched += 1

    async with at_work(desk, job(Plan(batch=1, within=10.0), NAMES[:2])) as made:
        made.watch = watch
        desk.clock.advance(10)
        await settle()
        await settle()
        assert watched <= 2
        await end(desk, "s0")
    assert states(made) == {"s0": "done", "s1": "not-started"}
