"""How far it is, in a chat: one line, corrected in place where one client reads it, and never the answer itself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from amon.command import Call
from tests.runtime.scene import Said
from tests.runtime.talk import DESK, ROOM, Talk
from tests.runtime.tap import until

Steps = asyncio.Queue[tuple[int, str] | None]


def working(steps: Steps) -> Callable[[Call], Awaitable[Said]]:
    async def body(call: Call) -> Said:
        while (step := await steps.get()) is not None:
            call.progress(step[0], 100, step[1])
        return Said("seen")

    return body


async def at_work(talk: Talk, line: str = "restart httpd", **more: Any) -> "tuple[Steps, asyncio.Task[None]]":
    """A call whose progress the test says; it has said 40 %."""
    steps: Steps = asyncio.Queue()
    talk.lab.lab.body = working(steps)
    talk.voice.said.clear()
    task = asyncio.create_task(talk.chat.received(talk.message(line, **more)))
    steps.put_nowait((40, "copying"))
    await until(lambda: any(entry.startswith("restart") for entry in talk.lab.log) and steps.empty())
    return steps, task


async def goes_on(talk: Talk, steps: Steps, done: int) -> None:
    steps.put_nowait((done, "copying"))
    await until(steps.empty)
    await talk.lab.clock.turn(10, 5)


async def ended(steps: Steps, task: "asyncio.Task[None]") -> None:
    steps.put_nowait(None)
    async with asyncio.timeout(5):
        await task


async def test_after_three_seconds_a_line_says_how_far_it_is_and_is_corrected_every_ten(talk: Talk) -> None:
    steps, task = await at_work(talk)
    await talk.lab.clock.turn(3)
    await goes_on(talk, steps, 60)
    await goes_on(talk, steps, 80)
    await ended(steps, task)
    assert talk.voice.said == [
        (DESK, "copying (40%): lab restart"),
        (DESK, "copying (60%): lab restart"),
        (DESK, "copying (80%): lab restart"),
        (DESK, "seen"),
    ]
    first = talk.voice.ids[0][0]
    assert first
    assert [replaces for _, replaces in talk.voice.ids] == ["", first, first, ""]
    assert len({ident for ident, _ in talk.voice.ids[:3]}) == 3


async def test_what_has_not_moved_is_not_said_again(talk: Talk) -> None:
    steps, task = await at_work(talk)
    await talk.lab.clock.turn(25, 1)
    assert len(talk.voice.said) == 1
    await ended(steps, task)


async def test_it_is_corrected_six_times_and_no_more(talk: Talk) -> None:
    steps, task = await at_work(talk)
    await talk.lab.clock.turn(3)
    for done in range(41, 61):
        await goes_on(talk, steps, done)
    assert len([replaces for _, replaces in talk.voice.ids if replaces]) == 6
    assert len(talk.voice.said) == 7  # nor does it say besides, after half a minute, that it is still at it
    await ended(steps, task)


async def test_only_the_last_message_is_corrected(talk: Talk) -> None:
    steps, task = await at_work(talk)
    await talk.lab.clock.turn(3)
    await talk.chat.received(talk.message("more"))
    await goes_on(talk, steps, 80)
    assert [text for _, text in talk.voice.said] == ["copying (40%): lab restart", "there is no more; ask again"]
    await ended(steps, task)


async def test_in_a_room_it_is_said_once_and_never_corrected(talk: Talk) -> None:
    steps, task = await at_work(talk, "cern: restart httpd", room=ROOM, kind="groupchat")
    await talk.lab.clock.turn(3)
    await goes_on(talk, steps, 80)
    assert talk.voice.said == [(ROOM, "copying (40%): lab restart")]
    await ended(steps, task)
    assert not any(replaces for _, replaces in talk.voice.ids)


async def test_a_quick_call_says_only_its_answer(talk: Talk) -> None:
    steps, task = await at_work(talk)
    await talk.lab.clock.turn(2)
    await ended(steps, task)
    assert [text for _, text in talk.voice.said] == ["seen"]
