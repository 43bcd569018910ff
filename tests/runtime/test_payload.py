"""The front for programs: what is an order, what is dropped without a word, and what goes back."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from amon.access import Policy
from amon.runtime.incoming import Door
from amon.runtime.payload import PayloadFront
from amon.store import Journal
from amon.wire import (
    LONGEST_PAYLOAD,
    Accepted,
    Cancel,
    Ended,
    Fetch,
    NeedsWord,
    Payload,
    Progress,
    Request,
    decode,
    encode,
)
from amon.xmpp.events import Received
from tests.runtime.scene import AGENTS, ALICE, BOB, DOOR, EVE, Said, Site, door, gate, raises, site

ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"
OTHER = "01JD8M5W8X1V6Q2R3S4T5V6W7Y"


class Line:
    """A site called cern behind the front; `sent` is what went back, to whom and under which id."""

    def __init__(self, lab: Site, door: Door = DOOR) -> None:
        self.lab = lab
        self.sent: list[tuple[str, Payload, str]] = []
        self.changed = asyncio.Event()
        self.front = PayloadFront("cern", door, lab.node.dispatch, self.send, lab.clock, Random(1))

    def send(self, to: str, payload: str, ident: str) -> bool:
        self.sent.append((to, decode(payload), ident))
        self.changed.set()
        return True

    async def hear(self, payload: Payload | str, by: str = ALICE, **more: Any) -> list[Payload]:
        """What went back because of it."""
        self.sent.clear()
        text = payload if isinstance(payload, str) else encode(payload)
        await self.front.received(Received(by, f"{by}/console", "", payload=text, **more))
        return [payload for _, payload, _ in self.sent]

    async def wait(self, kind: type[Payload]) -> Payload:
        async with asyncio.timeout(5):
            while True:
                for _, payload, _ in self.sent:
                    if isinstance(payload, kind):
                        return payload
                self.changed.clear()
                await self.changed.wait()


def request(line: str = "look", names: tuple[str, ...] = ("cern",), ident: str = ID, **more: Any) -> Request:
    return Request(ident, names, line, more.pop("deadline", 30.0), **more)


def state(payloads: list[Payload]) -> str:
    (payload,) = payloads
    assert isinstance(payload, Ended)
    return payload.state


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    async with site(tmp_path) as lab:
        yield Line(lab)


async def test_a_request_that_is_quick_has_only_an_outcome(line: Line) -> None:
    line.lab.lab.body = lambda call: Said("seen")
    assert state(await line.hear(request())) == "done"
    ((to, outcome, ident),) = line.sent
    assert (to, ident) == (f"{ALICE}/console", f"{ID}-ended")
    assert isinstance(outcome, Ended)
    assert (outcome.text, outcome.data, outcome.columns) == (
        "seen",
        {"text": "seen"},
        (("text", None, "what it says"),),
    )
    assert await line.hear(Fetch(ID)) == [outcome]


@pytest.mark.parametrize("names", [(), ("desy",), ("cer",), ("cern*",), ("all",)])
async def test_names_are_obeyed_and_nothing_else(line: Line, names: tuple[str, ...]) -> None:
    assert await line.hear(request("look @cern", names)) == []
    assert line.lab.log == []


async def test_what_is_not_an_order_from_a_real_address_in_time_is_dropped(line: Line) -> None:
    order = encode(request())
    for message in (
        Received(None, "ops@rooms.example.org/x", "", room="ops@rooms.example.org", payload=order),
        Received(ALICE, f"{ALICE}/c", "", payload=order, delayed=True),
        Received(ALICE, "ops@rooms/alice", "", room="ops@rooms", payload=order, private_in_room=True),
        Received(ALICE, f"{ALICE}/c", "look", payload=None),
    ):
        await line.front.received(message)
    assert (line.sent, line.lab.log) == ([], [])


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "null", "[" * 100_000, "x" * (LONGEST_PAYLOAD + 1), '{"v":2,"body":""}', '{"v":1,"body":"{}"}',
        json.dumps({"v": 1, "body": json.dumps({"type": "exec", "id": "mine"})}),
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
async def test_a_hostile_payload_is_dropped_and_only_those_who_are_known_make_a_line_in_the_log(
    line: Line, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert await line.hear(text, by=EVE) == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert await line.hear(text) == []
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1
    assert line.lab.log == []


async def test_what_only_sites_say_is_not_an_order(line: Line) -> None:
    for payload in (Accepted(ID), Progress(ID, "x"), NeedsWord(ID, "change"), Ended(ID, "done")):
        assert await line.hear(payload) == []


async def test_strangers_and_agents_are_refused_so_that_their_books_close(line: Line) -> None:
    assert state(await line.hear(request(), by=EVE)) == "refused"
    assert state(await line.hear(request(ident=OTHER), by=f"desy@{AGENTS}")) == "refused"
    assert line.lab.log == []


async def test_control_characters_in_a_payload_are_as_invalid_as_typed_ones(line: Line) -> None:
    assert state(await line.hear(request("look a\u202e\x00"))) == "invalid"
    assert line.lab.log == []


async def test_a_request_that_takes_longer_is_accepted_first(line: Line) -> None:
    line.lab.lab.body, go = gate(Said("seen"))
    asking = asyncio.create_task(line.hear(request("restart httpd")))
    await line.lab.clock.wait_sleepers(3)
    assert line.sent == []
    line.lab.clock.advance(0.1)
    await line.wait(Accepted)
    go.set()
    accepted, ended = await asking
    assert (accepted, state([ended])) == (Accepted(ID), "done")


async def test_in_a_large_job_first_signs_of_life_are_spread(line: Line) -> None:
    line.lab.lab.body, go = gate()
    asking = asyncio.create_task(line.hear(request(job_sites=1000)))
    await line.lab.clock.wait_sleepers(3)
    line.lab.clock.advance(0.1)
    await asyncio.sleep(0)
    assert line.sent == []
    line.lab.clock.advance(1.9)
    await line.wait(Accepted)
    go.set()
    await asking


async def test_a_repeat_of_what_is_under_way_is_accepted_at_once_and_hears_the_end(line: Line) -> None:
    line.lab.lab.body, go = gate(Said("seen"))
    first = asyncio.create_task(line.front.received(Received(ALICE, f"{ALICE}/a", "", payload=encode(request()))))
    await line.lab.clock.wait_sleepers(3)
    for payload in (request(), Fetch(ID)):
        assert await line.hear(payload) == [Accepted(ID)]
    line.sent.clear()
    go.set()
    await first
    assert [(to, type(payload)) for to, payload, _ in line.sent] == [
        (f"{ALICE}/a", Ended), (f"{ALICE}/console", Ended), (f"{ALICE}/console", Ended),
    ]  # fmt: skip
    assert line.lab.log == ["look all"]
    line.lab.clock.advance(10)
    await asyncio.sleep(0)
    assert len(line.sent) == 3


async def test_fetching_is_for_ones_own_and_what_is_not_known_has_expired(line: Line) -> None:
    await line.hear(request())
    assert state(await line.hear(Fetch(OTHER))) == "expired"
    assert state(await line.hear(Fetch(ID), by=BOB)) == "expired"
    assert await line.hear(Fetch(ID), by=EVE) == []
    assert await line.hear(Fetch(ID), by=f"desy@{AGENTS}") == []


async def test_who_fetches_without_end_is_read_only_so_much_of_the_journal_and_nobody_else_pays(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "amon.payload")
    await line.hear(request())
    before = line.lab.journal.transactions
    answered = [await line.hear(Fetch(OTHER)) for _ in range(1000)]
    assert [len(one) for one in answered] == [1] * 200 + [0] * 800  # a console that comes back has them all at once
    assert line.lab.journal.transactions - before <= 200
    assert "fetches more than 200 in 10 s" in caplog.text
    assert state(await line.hear(Fetch(OTHER), by=BOB)) == "expired"
    assert state(await line.hear(request(ident=OTHER))) == "done"
    line.lab.clock.advance(10)
    assert state(await line.hear(Fetch(ID))) == "done"


async def test_strangers_who_fetch_use_up_nothing_of_those_who_are_known(line: Line) -> None:
    for n in range(1500):
        assert await line.hear(Fetch(OTHER), by=f"eve{n}@example.org") == []
    assert state(await line.hear(Fetch(OTHER))) == "expired"


async def test_fetching_from_a_journal_that_cannot_be_read_says_nothing_wrong(tmp_path: Path) -> None:
    async with site(tmp_path) as lab:
        line = Line(lab)
        async with Journal.open(tmp_path / "closed") as closed:
            pass
        lab.node.dispatch._journal = closed
        assert await line.hear(Fetch(ID)) == []


async def test_cancelling_is_for_ones_own(line: Line) -> None:
    line.lab.lab.body, _ = gate()
    asking = asyncio.create_task(
        line.front.received(Received(ALICE, f"{ALICE}/a", "", payload=encode(request("restart httpd"))))
    )
    await line.lab.clock.wait_sleepers(3)
    for by in (BOB, EVE):
        await line.hear(Cancel(ID), by=by)
    assert not asking.done()
    await line.hear(Cancel(ID))
    await asking
    assert state([payload for _, payload, _ in line.sent]) == "cancelled"


async def test_a_change_for_several_sites_asks_back_with_the_plan(line: Line) -> None:
    for order in (request("restart httpd", job_sites=2), request("restart httpd", ("cern", "desy"))):
        assert await line.hear(order) == [NeedsWord(ID, "change", "would restart httpd")]
    assert state(await line.hear(request("restart httpd", ("cern", "desy"), job_sites=2, confirmed=True))) == "done"
    assert line.lab.log == ["plan httpd", "plan httpd", "restart httpd"]


async def test_a_dry_run_is_a_plan_and_nothing_more(line: Line) -> None:
    assert state(await line.hear(request("restart httpd", dry_run=True))) == "done"
    assert line.lab.log == ["plan httpd"]


async def test_whatever_a_module_says_the_answer_can_travel(line: Line) -> None:
    for text in ("&" * 1_000_000, '"' * 1_000_000, "\\" * 1_000_000, "\U0001f600" * 1_000_000, "<\x00>\n" * 1_000_000):
        line.lab.lab.body = raises(RuntimeError())
        line.lab.lab.body = lambda call, text=text: [Said(text), {"list": [text] * 3, "deep": {"er": text}}]  # type: ignore[misc]
        ident = f"01JD8M5W8X1V6Q2R3S4T5V{ord(text[0]) % 32 + 1000:04}"
        assert state(await line.hear(request(ident=ident))) == "done"
        (outcome,) = [payload for _, payload, _ in line.sent]
        assert isinstance(outcome, Ended)
        assert outcome.cut
        assert outcome.text.endswith("--save DIR)")


async def test_progress_goes_back_as_it_happens(line: Line) -> None:
    def body(call: Any) -> None:
        call.progress(1, 2, "half way")

    line.lab.lab.body = body
    first, last = await line.hear(request())
    assert first == Progress(ID, "half way", 0.5)
    assert state([last]) == "done"


async def test_a_reload_of_the_policy_holds_for_the_next_request(line: Line) -> None:
    line.front.door = door(Policy())
    assert state(await line.hear(request())) == "refused"
