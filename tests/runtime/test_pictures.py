"""Sessions that draw, and lines that name other sites: at a site, from its module to whoever asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated

import pytest

from amon.command import BadDeclaration, Call, command, commands_of
from amon.fields import Field
from amon.module import Env, Module
from amon.runtime.node import Spec
from amon.runtime.payload import PayloadFront
from amon.wire import SITES_MOST, Heard, Output, Payload, Request, WireError, decode, encode
from amon.xmpp.events import Received
from tests.runtime.scene import ALICE, DOOR, Site, site
from tests.runtime.talk import ROOM, Talk
from tests.runtime.tap import Reader, until

Whom = Annotated[str, Field("whom", pattern=r"[@\w.]+", longest=64, sites=True)]
ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"


@dataclass(frozen=True, slots=True)
class Drawn:
    turn: Annotated[int, Field("which")]
    size: int = 2

    def __str__(self) -> str:
        return "\n".join([f"turn {self.turn}", *("x" * 60 for _ in range(self.size))])


class Easel(Module[None]):
    """Draws what the test asks for, and tells what it knows of sites."""

    def __init__(self, env: Env[None]) -> None:
        super().__init__(env)
        self.source: asyncio.Queue[Drawn | None] = asyncio.Queue()

    @command(replaces=True)
    async def draw(self, call: Call) -> AsyncIterator[Drawn]:
        """Draw again and again."""
        while (drawn := await self.source.get()) is not None:
            yield drawn

    @command()
    async def look(self, call: Call, at: Whom) -> str:
        """Tell what is known of a site."""
        return f"{call.site} at {at}: {call.sites.get(at.removeprefix('@'), 'not told')}"


@asynccontextmanager
async def easel(folder: Path) -> AsyncIterator[tuple[Site, Easel]]:
    async with site(folder, specs=(Spec("easel", "easel", Easel),)) as made:
        module = made.node.find("easel")
        assert isinstance(module, Easel)
        yield made, module


async def test_of_pictures_that_nobody_took_the_newest_is_there_and_none_is_missed(tmp_path: Path) -> None:
    async with easel(tmp_path) as (made, module):
        reader = Reader(reads=False)
        task = asyncio.create_task(made.node.dispatch.handle(made.incoming("easel draw"), reader))
        for turn in range(5):
            module.source.put_nowait(Drawn(turn))
        await until(lambda: reader.session is not None and module.source.empty())
        for _ in range(10):
            await asyncio.sleep(0)
        reader.take()
        module.source.put_nowait(None)
        async with asyncio.timeout(5):
            await task
        (part,) = reader.parts
        assert part.replaces
        assert part.items == ({"turn": 4, "size": 2},)
        assert part.picture == ["turn 4", "x" * 60, "x" * 60]
        assert part.missed == 0
        assert reader.last.data["missed"] == 0


async def test_a_picture_larger_than_a_message_is_cut_and_told_as_text(tmp_path: Path) -> None:
    async with easel(tmp_path) as (made, module):
        reader = Reader()
        task = asyncio.create_task(made.node.dispatch.handle(made.incoming("easel draw"), reader))
        module.source.put_nowait(Drawn(1, size=10_000))
        module.source.put_nowait(None)
        async with asyncio.timeout(5):
            await task
        assert len(reader.parts[0].lines[0]) == 24_576


async def test_a_console_hears_that_a_part_is_a_picture(tmp_path: Path) -> None:
    async with easel(tmp_path) as (made, module):
        sent: list[Payload] = []

        def send(to: str, payload: str, ident: str) -> bool:
            sent.append(decode(payload))
            return True

        front = PayloadFront("cern", DOOR, made.node.dispatch, send, made.clock, Random(1))
        asking = Received(ALICE, f"{ALICE}/desk", "", payload=encode(Request(ID, ("cern",), "easel draw", 30.0)))
        task = asyncio.create_task(front.received(asking))
        module.source.put_nowait(Drawn(1))
        await until(lambda: any(isinstance(one, Output) for one in sent))
        (part,) = [one for one in sent if isinstance(one, Output)]
        assert (part.replaces, part.lines[0], part.items) == (True, "turn 1", ({"turn": 1, "size": 2},))
        heard = Received(ALICE, f"{ALICE}/desk", "", payload=encode(Heard(ID, 1)))
        await front.received(heard)
        module.source.put_nowait(None)
        async with asyncio.timeout(5):
            await task


async def test_a_chat_corrects_its_picture_until_something_else_is_said(tmp_path: Path) -> None:
    async with easel(tmp_path) as (made, module):
        talk = Talk(made)
        task = asyncio.create_task(talk.chat.received(talk.message("easel draw")))
        for turn in (1, 2, 3):
            module.source.put_nowait(Drawn(turn, size=0))
            await until(module.source.empty)
            for _ in range(5):
                await asyncio.sleep(0)
            await made.clock.turn(10, 5)
        pictures = [(text, ids) for (_, text), ids in zip(talk.voice.said, talk.voice.ids, strict=True)]
        assert [text.splitlines()[-2] for text, _ in pictures] == ["turn 1", "turn 2", "turn 3"]
        first = pictures[0][1][0]
        assert first
        assert [replaces for _, (_, replaces) in pictures] == ["", first, first]
        await talk.alone("whoami")
        module.source.put_nowait(Drawn(4, size=0))
        await until(module.source.empty)
        for _ in range(5):
            await asyncio.sleep(0)
        await made.clock.turn(10, 5)
        assert "turn 4" in talk.voice.said[-1][1]
        assert talk.voice.ids[-1][1] == ""  # a new message: that of before has scrolled away
        module.source.put_nowait(None)
        async with asyncio.timeout(5):
            await task


def test_only_a_session_can_draw() -> None:
    async def odd(self: object, call: Call) -> None:
        """Odd."""

    with pytest.raises(BadDeclaration, match="is no session"):
        commands_of(type("Odd", (), {"odd": command(replaces=True)(odd)}))


# Lines that name other sites


async def test_what_a_request_tells_of_sites_reaches_the_call(tmp_path: Path) -> None:
    async with easel(tmp_path) as (made, _):
        sent: list[Payload] = []

        def send(to: str, payload: str, ident: str) -> bool:
            sent.append(decode(payload))
            return True

        front = PayloadFront("cern", DOOR, made.node.dispatch, send, made.clock, Random(1))
        request = Request(ID, ("cern",), "easel look @desy", 30.0, sites={"desy": "192.0.2.1"})
        await front.received(Received(ALICE, f"{ALICE}/desk", "", payload=encode(request)))
        assert getattr(sent[-1], "text", "") == f"{DOOR.jid.partition('@')[0]} at @desy: 192.0.2.1"


async def test_one_to_one_a_site_is_a_word_of_a_command_that_may_name_one(tmp_path: Path) -> None:
    async with easel(tmp_path) as (made, _):
        talk = Talk(made)
        assert "at @desy: not told" in (await talk.alone("easel look @desy"))[-1]
        # Of another command it stays the target of the line, which must fit.
        assert "cern is not in desy; nothing was done" in (await talk.alone("whoami @desy"))[-1]


async def test_in_a_room_a_site_is_whom_the_line_is_for_unless_the_line_begins_with_a_name(tmp_path: Path) -> None:
    async with easel(tmp_path) as (made, _):
        talk = Talk(made)
        assert await talk.room("!easel look @desy") == []
        assert await talk.room("cern: easel look @desy") == [(ROOM, "cern at @desy: not told")]


def test_a_request_tells_of_a_bounded_number_of_sites_with_bounded_addresses() -> None:
    for sites in ({f"s{n}": "" for n in range(SITES_MOST + 1)}, {"desy": "9" * 257}, {"": "192.0.2.1"}):
        text = encode(Request(ID, ("cern",), "uptime", 30.0, sites=sites))
        with pytest.raises(WireError):
            decode(text)
