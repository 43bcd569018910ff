"""A long output, fetched part by part: by its asker alone, from where he was, and never faster than is allowed."""

import asyncio
import base64
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from amon.runtime.chunks import RATE, WAITING_MOST
from amon.runtime.incoming import Door
from amon.runtime.outputs import BLOCK
from amon.runtime.payload import PayloadFront
from amon.wire import Chunk, Ended, Fetch, Payload, Request, decode, encode
from amon.xmpp.events import Received
from tests.runtime.scene import ALICE, BOB, DOOR, EVE, Site, door, site

ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"
TEXT = "".join(f"{n:06} the same words as before\n" for n in range(20_000))


class Line:
    """A console at the front of a site; `sent` is what came back. gate: what the network waits for."""

    def __init__(self, lab: Site, through: Door = DOOR) -> None:
        self.lab = lab
        self.sent: list[Payload] = []
        self.to: list[str] = []
        self.changed = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.front = PayloadFront("cern", through, lab.node.dispatch, self.send, lab.clock, Random(1), drain=self.drain)

    async def drain(self) -> None:
        await self.gate.wait()

    def send(self, to: str, payload: str, ident: str) -> bool:
        self.to.append(to)
        self.sent.append(decode(payload))
        self.changed.set()
        return True

    async def wait_sent(self, count: int) -> None:
        while len(self.sent) < count:
            self.changed.clear()
            await self.changed.wait()

    async def say(self, payload: Payload, by: str = ALICE) -> None:
        await self.front.received(Received(by, f"{by}/console", "", payload=encode(payload)))

    async def fetch(self, offset: int, by: str = ALICE, ident: str = ID) -> bytes:
        self.sent.clear()
        await self.say(Fetch(ident, offset), by)
        (chunk,) = self.sent
        assert isinstance(chunk, Chunk)
        assert (chunk.id, chunk.offset) == (ident, offset)
        return zlib.decompress(base64.b64decode(chunk.data)) if chunk.data else b""


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    async with site(tmp_path) as lab:
        lab.lab.body = lambda call: TEXT
        made = Line(lab)
        await made.say(Request(ID, ("cern",), "restart httpd", 30.0))
        assert isinstance(made.sent[-1], Ended)
        yield made


async def test_the_parts_put_together_are_the_whole(line: Line) -> None:
    got = b""
    while part := await line.fetch(len(got)):
        got += part
    assert got.decode() == TEXT


async def test_a_part_may_begin_anywhere(line: Line) -> None:
    assert await line.fetch(BLOCK + 17) == TEXT.encode()[BLOCK + 17 : 2 * BLOCK]


async def test_what_cannot_be_made_smaller_still_fits_into_a_payload(line: Line) -> None:
    noise = "".join(chr(Random(n).randrange(0x4E00, 0x9FA5)) for n in range(40_000))
    line.lab.lab.body = lambda call: noise
    other = ID[:-1] + "Y"
    await line.say(Request(other, ("cern",), "restart httpd", 30.0))
    assert await line.fetch(0, ident=other) == noise.encode()[:BLOCK]


async def test_nothing_is_sent_to_a_stranger_and_nothing_of_his_to_another_asker(line: Line) -> None:
    line.sent.clear()
    await line.say(Fetch(ID, 0), EVE)
    assert line.sent == []
    assert await line.fetch(0, BOB) == b""


async def test_nothing_is_sent_through_another_account(line: Line) -> None:
    assert await Line(line.lab, door(account="other")).fetch(0) == b""


async def test_what_is_not_kept_and_what_is_beyond_the_end_is_an_empty_part(line: Line) -> None:
    assert await line.fetch(0, ident=ID[:-1] + "Z") == b""
    assert await line.fetch(10**15) == b""


async def test_that_an_output_was_fetched_is_written_down_once_and_not_for_each_part(line: Line) -> None:
    for offset in (0, BLOCK, 2 * BLOCK):
        await line.fetch(offset)
    assert (await line.lab.audit())[2:] == [f"{ALICE} output of {ID}: sent"]


async def test_a_flood_of_questions_is_answered_at_the_pace_of_the_site_and_never_kept(line: Line) -> None:
    line.sent.clear()
    asked = [asyncio.create_task(line.say(Fetch(ID, 0))) for _ in range(1000)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert sum(not task.done() for task in asked) <= WAITING_MOST
    await asyncio.wait(asked)
    assert len(line.sent) == WAITING_MOST


async def test_so_many_parts_go_out_in_a_second_and_no_more(line: Line) -> None:
    async def keep_asking() -> None:
        while True:
            await line.say(Fetch(ID, BLOCK))

    line.sent.clear()
    began = line.lab.clock.monotonic()
    asking = [asyncio.create_task(keep_asking()) for _ in range(4)]
    async with asyncio.timeout(20):
        await line.wait_sent(50)  # what a pause allows
        for turn in range(1, 11):
            line.lab.clock.advance(10 / RATE)
            await line.wait_sent(50 + 10 * turn)
    assert len(line.sent) <= 50 + RATE * (line.lab.clock.monotonic() - began) + len(asking)
    for task in asking:
        task.cancel()
    await asyncio.wait(asking)


async def test_nothing_more_is_read_while_the_network_takes_nothing(line: Line) -> None:
    line.sent.clear()
    line.gate.clear()
    asked = [asyncio.create_task(line.say(Fetch(ID, 0))) for _ in range(40)]
    await asyncio.wait(asked, timeout=0.2)
    assert line.sent == []
    line.gate.set()
    await asyncio.wait(asked)
    assert len(line.sent) == WAITING_MOST
