"""A job that was told to stop: nothing that goes out afterwards makes a site do it all the same."""

from collections.abc import Iterable

import pytest

from amon.runtime.gather import gathering
from amon.wire import Cancel, NeedsWord, Payload, Request
from amon.xmpp.events import Online
from tests.runtime.console import ROOM, Desk
from tests.runtime.test_gather_turns import at_work, job, requests, settle, states

NAMES = ("cern", "desy")


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.enter(*NAMES)
    return desk


async def test_a_site_that_missed_the_request_is_not_asked_again_after_the_word_to_stop(desk: Desk) -> None:
    desk.in_room()
    desk.thrown_out = {"cern"}
    async with at_work(desk, job(names=NAMES), ROOM) as made:
        desk.clock.advance(1.0)
        await settle()
        made.cancel()
        desk.clock.advance(1.5)  # when the reminder would have gone out
        await settle()
        assert not made.book.closed
        desk.clock.advance(1.0)
    assert len(requests(desk)) == 1
    assert [type(payload) for _, payload, _ in desk.wire.sent] == [Request, Cancel, Cancel]
    assert states(made) == dict.fromkeys(NAMES, "cancelled")


async def test_a_new_session_repeats_nothing_that_was_cancelled(desk: Desk) -> None:
    async with at_work(desk, job(names=NAMES)) as made:
        made.cancel()
        desk.fleet.online(Online(False, "alice@example.org/x"))
        await settle()
        assert not made.book.closed
        desk.clock.advance(3.0)
    assert len(requests(desk)) == len(NAMES)


async def test_a_yes_that_comes_after_the_word_to_stop_is_none(desk: Desk) -> None:
    def careful(site: str, payload: Payload) -> Iterable[Payload]:
        if isinstance(payload, Request):
            yield NeedsWord(payload.id, "change", "would restart")

    desk.replies = careful
    with gathering(desk.fleet, None, job(names=NAMES), desk.clock) as made:
        made.send()
        await made.collect()
        assert set(made.asking) == set(NAMES)
        made.cancel()
        made.confirm()
        assert made.book.closed
    assert not any(request.confirmed for request in requests(desk))
    assert states(made) == dict.fromkeys(NAMES, "not-started")
