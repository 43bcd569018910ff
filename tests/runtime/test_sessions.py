"""Sessions: what goes on telling, how it ends, and that nothing of it stays or grows."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from amon.access import Authority, Policy
from amon.errors import Failed, Refused
from amon.fields import Secret
from amon.runtime.sessions import Limits, Sessions
from amon.words import State
from tests.runtime.scene import AGENTS, ALICE, BOB, DOOR, POLICY, Ear, Site, door
from tests.runtime.tap import Reader, Tap, begun, tapped, until


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[tuple[Site, Tap]]:
    async with tapped(tmp_path) as made:
        yield made


async def ended(task: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(10):
        await task


# What it tells, and its end


async def test_it_tells_item_after_item_until_it_has_told_all(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    reader, task = await begun(made, tap)
    tap.source.put_nowait("one")
    await reader.wait_items(1)
    assert reader.outcomes == []
    for item in ("two", "three", None):
        tap.source.put_nowait(item)
    await ended(task)
    assert reader.items == ["one", "two", "three"]
    assert (reader.last.state, reader.last.text) == ("done", "3 lines, 0 s; it has told all")
    assert reader.last.data == {"said": 3, "missed": 0, "lasted": 0.0, "why": "it has told all"}
    assert tap.log == ["let go"]


async def test_dataclasses_come_as_data_with_columns_and_as_a_line_each(scene: tuple[Site, Tap]) -> None:
    made, _ = scene
    reader = Reader()
    await made.node.dispatch.handle(made.incoming("tap drops count=2"), reader)
    assert reader.items == [{"number": 0, "of": "tap"}, {"number": 1, "of": "tap"}]
    assert reader.parts[0].lines == ("number: 0, of: tap",)
    assert [column.name for column in reader.parts[0].columns] == ["number", "of"]


async def test_a_long_one_that_ends_by_itself_is_read_to_its_last_item(scene: tuple[Site, Tap]) -> None:
    made, _ = scene
    reader = Reader(reads=False)
    task = asyncio.create_task(made.node.dispatch.handle(made.incoming("tap drops count=500"), reader))
    await reader.wait("output")
    while not task.done():
        if reader.session is not None:
            reader.take(7)
        await asyncio.sleep(0)
    assert len(reader.items) == 500
    assert reader.last.data["missed"] == 0


async def test_its_asker_stops_it_and_nobody_else_can(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    reader, task = await begun(made, tap)
    tap.source.put_nowait("one")
    await reader.wait_items(1)
    incoming = made.node.dispatch.sessions.all()[0].incoming
    assert not made.node.dispatch.cancel((DOOR.account, BOB, incoming.id))
    assert made.node.dispatch.cancel(incoming.key)
    await ended(task)
    assert (reader.last.state, reader.last.text) == ("done", "1 line, 0 s; stopped by you")
    assert tap.log == ["let go"]
    assert made.node.dispatch.sessions.all() == []


async def test_it_ends_at_the_time_of_its_command(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    reader, task = await begun(made, tap)
    for _ in range(125):
        if reader.session is not None:
            reader.session.heard()
        await made.clock.turn(5, 5)
    await ended(task)
    assert (reader.last.state, reader.last.text) == ("done", "0 lines, 10 min; its time of 10 min is over; ask again")
    assert tap.open == 0


async def test_it_ends_when_its_asker_gives_no_sign_and_says_why(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    reader, task = await begun(made, tap)
    await made.clock.turn(85, 5)
    assert reader.outcomes == []
    await made.clock.turn(10, 5)
    await ended(task)
    assert reader.last.state == "failed"
    assert "no sign for 90 s that it is read; does your console know sessions?" in reader.last.text
    assert tap.open == 0


async def test_a_sign_in_time_keeps_it_and_silence_after_that_ends_it(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    reader, task = await begun(made, tap)
    for _ in range(4):
        await made.clock.turn(60, 5)
        assert reader.session is not None
        reader.session.heard()
    assert reader.outcomes == []
    await made.clock.turn(95, 5)
    await ended(task)
    assert reader.last.text.startswith("whoever asked is gone: no sign of him for 90 s")


async def test_who_loses_his_right_is_told_nothing_more(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    through = door()
    reader, task = await begun(made, tap, door=through)
    tap.source.put_nowait("one")
    await reader.wait_items(1)
    through.authority = Authority(replace(POLICY, admin=()), AGENTS)
    await made.clock.turn(5, 5)
    await ended(task)
    assert reader.last.state == "refused"
    assert "1 line" in reader.last.text
    assert tap.open == 0
    assert (await made.audit())[-1].endswith("tap follow: refused")


async def test_it_ends_with_its_instance_before_that_is_stopped(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    reader, task = await begun(made, tap)
    await made.node.change(["tap"], [])
    await ended(task)
    assert (reader.last.state, reader.last.text) == ("failed", "tap was stopped")
    assert tap.open == 0


async def test_it_ends_soon_after_its_instance_has_crashed(scene: tuple[Site, Tap]) -> None:
    made, tap = scene

    async def crash() -> None:
        raise ZeroDivisionError

    reader, task = await begun(made, tap)
    tap.env.spawn(crash(), name="crash")
    await made.clock.turn(10, 1)
    await ended(task)
    assert reader.last.text.startswith("tap was stopped")
    assert tap.open == 0


async def test_what_goes_wrong_in_it_is_told_as_of_any_command_with_what_it_had_told(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    for fault, state, words in (
        (Failed("no device"), "failed", "no device; 1 line, 0 s"),
        (Refused("not at night"), "refused", "not at night; 1 line, 0 s"),
        (ZeroDivisionError(), "failed", "bug in tap follow, incident "),
        (SystemExit(3), "failed", "bug in tap follow, incident "),
        (asyncio.CancelledError(), "failed", "bug in tap follow, incident "),
    ):
        reader, task = await begun(made, tap)
        tap.source.put_nowait("one")
        tap.source.put_nowait(fault)
        await ended(task)
        assert reader.last.state == state
        assert reader.last.text.startswith(words)
        assert reader.last.data["said"] == 1
    assert tap.open == 0


async def test_an_agent_that_ends_closes_it(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    _, task = await begun(made, tap)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tap.open == 0
    assert made.node.dispatch.sessions.all() == []


async def test_one_that_takes_no_notice_ends_all_the_same(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    reader = Reader()
    incoming = made.incoming("tap stubborn")
    task = asyncio.create_task(made.node.dispatch.handle(incoming, reader))
    tap.source.put_nowait("one")
    await reader.wait_items(1)
    made.node.dispatch.cancel(incoming.key)
    await until(lambda: bool(tap.log))
    tap.source.put_nowait("two")
    await ended(task)
    assert reader.items == ["one"]
    assert reader.last.state == "done"


async def test_it_is_written_down_like_any_call(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    tap.source.put_nowait(None)
    reader, task = await begun(made, tap, line="tap follow token=xyzzy42", ident="01JD8M5W8X1V6Q2R3S4T5V6W7X")
    await ended(task)
    record = await made.journal.find(ALICE, "01JD8M5W8X1V6Q2R3S4T5V6W7X")
    assert record is not None
    assert (record.line, record.state) == ("tap follow token=***", "done")
    assert (await made.audit())[-1] == f"{ALICE} tap follow token=***: done"
    again = Reader()
    await made.node.dispatch.handle(made.incoming("tap follow token=xyzzy42", ident=record.id), again)
    assert again.last == reader.last


async def test_a_secret_of_the_line_is_in_nothing_that_it_says(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    other = Secret("plugh-42")
    reader, task = await begun(made, tap, line="tap follow token=xyzzy42")
    for item in ("it is xyzzy42", f"or {other.reveal()}", None):
        tap.source.put_nowait(item)
    await ended(task)
    assert reader.items == ["it is ***", "or ***"]


async def test_signs_that_no_terminal_should_see_are_taken_out_and_a_long_line_is_cut(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    reader, task = await begun(made, tap)
    for item in ("\x1b[31mred\nnext", "x" * 10**6, None):
        tap.source.put_nowait(item)
    await ended(task)
    assert "\x1b" not in reader.items[0]
    assert "\n" not in reader.items[0]
    assert len(reader.items[1]) == 4096


# Its bounds


async def test_a_slow_reader_gets_the_newest_and_a_count_and_no_memory_is_taken(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    reader, task = await begun(made, tap, reads=False)
    for number in range(5000):
        tap.source.put_nowait(f"line {number}")
    await reader.wait("output")
    session = made.node.dispatch.sessions.all()[0]
    await until(lambda: session.said == 5000)
    reader.take(items=20)
    assert reader.parts[0].missed == 4000
    assert (reader.items[0], reader.items[-1], len(reader.items)) == ("line 4000", "line 4999", 1000)
    made.node.dispatch.cancel(session.incoming.key)
    await ended(task)
    assert reader.last.text == "5,000 lines, 4,000 left out, 0 s; stopped by you"


async def test_what_waits_is_bounded_in_bytes_too(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    reader, task = await begun(made, tap, reads=False)
    for _ in range(200):
        tap.source.put_nowait("x" * 4096)
    session = made.node.dispatch.sessions.all()[0]
    await until(lambda: session.said == 200)
    assert session.missed == 200 - 64
    made.node.dispatch.cancel(session.incoming.key)
    await ended(task)
    assert reader.last.data["missed"] == 200


async def test_a_part_is_as_small_as_the_reader_wants_it(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    _, task = await begun(made, tap, reads=False)
    for number in range(10):
        tap.source.put_nowait(f"{number}" * 100)
    session = made.node.dispatch.sessions.all()[0]
    await until(lambda: session.said == 10)
    first, second = session.take(3, 10**6), session.take(10, 250)
    assert first is not None
    assert second is not None
    assert (len(first.items), len(second.items)) == (3, 2)
    assert session.take(10, 1) is not None  # one always fits, or nothing ever would
    made.node.dispatch.cancel(session.incoming.key)
    await ended(task)


@pytest.mark.parametrize("limits", [Limits(items=10), Limits(size=1000)])
async def test_a_session_has_a_size_at_which_it_ends(tmp_path: Path, limits: Limits) -> None:
    async with tapped(tmp_path) as (made, _):
        made.node.dispatch._sessions = Sessions(made.clock, limits)
        reader = Reader()
        await made.node.dispatch.handle(made.incoming("tap drops count=1000000"), reader)
        assert "lines or" in reader.last.text
        assert "is reached; ask again" in reader.last.text
        assert len(reader.items) <= 100


async def test_one_person_may_have_eight_and_is_told_how_to_end_one(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    tasks = [(await begun(made, tap))[1] for _ in range(8)]
    async with asyncio.timeout(5):
        ninth = await made.ask("tap follow")
    assert (ninth.last.state, ninth.last.data["said"] if ninth.last.data else None) == ("refused", None)
    assert ninth.last.text == "you have 8 sessions open here; end one first: sessions stop ID"
    _, of_bob = await begun(made, tap, by=BOB)
    for session in made.node.dispatch.sessions.all():
        made.node.dispatch.cancel(session.incoming.key)
    for task in (*tasks, of_bob):
        await ended(task)
    assert tap.open == 0


async def test_a_site_has_sixty_four(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    through = door(Policy(observer=("*@example.org",), rate=0))
    tasks = [(await begun(made, tap, by=f"p{n % 16}@example.org", door=through))[1] for n in range(64)]
    async with asyncio.timeout(5):
        more = await made.ask("tap follow", by="new@example.org", door=through)
    assert more.last.text == "64 sessions are open at this site and no more may be; ask again later"
    for session in made.node.dispatch.sessions.all():
        made.node.dispatch.cancel(session.incoming.key)
    for task in tasks:
        await ended(task)


async def test_many_sites_do_not_talk_at_once_to_somebody_who_types(scene: tuple[Site, Tap]) -> None:
    made, _ = scene
    ear = await made.ask("tap follow", typed=True, sites=2)
    assert (ear.last.state, "ask one site by its name" in ear.last.text) == ("refused", True)


async def test_what_it_says_is_for_who_asked_first_and_not_for_who_sends_the_same_again(
    scene: tuple[Site, Tap],
) -> None:
    made, tap = scene
    reader, task = await begun(made, tap, ident="01JD8M5W8X1V6Q2R3S4T5V6W7X")
    thief = Reader()
    await made.node.dispatch.handle(made.incoming("tap follow", ident="01JD8M5W8X1V6Q2R3S4T5V6W7X"), thief)
    tap.source.put_nowait("for alice's desk")
    tap.source.put_nowait(None)
    await ended(task)
    assert (reader.items, thief.items) == (["for alice's desk"], [])
    assert thief.last.state == State.done


async def test_each_session_has_its_own_state(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    reader, task = await begun(made, tap)
    other = Reader()
    await made.node.dispatch.handle(made.incoming("tap drops count=3", by=BOB), other)
    tap.source.put_nowait(None)
    await ended(task)
    assert (reader.items, len(other.items)) == ([], 3)


async def test_a_front_that_cannot_tell_it_ends_it(scene: tuple[Site, Tap]) -> None:
    class Broken(Ear):
        def output(self, session: object) -> None:
            raise ZeroDivisionError

    made, tap = scene
    ear = Broken()
    tap.source.put_nowait("one")
    await made.node.dispatch.handle(made.incoming("tap follow"), ear)
    assert ear.last.text.startswith("what it says could not be told")


async def test_nothing_of_it_runs_on_when_the_last_has_ended(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    before = len(asyncio.all_tasks())
    tap.source.put_nowait(None)
    _, task = await begun(made, tap)
    await ended(task)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before


# Seeing and ending them by a command of the agent


async def test_everybody_sees_his_own_and_an_admin_everybodys(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    _, mine = await begun(made, tap)
    _, bobs = await begun(made, tap, by=BOB)
    made.clock.advance(60)
    (row,) = (await made.ask("sessions", by=BOB)).last.data
    assert (row["who"], row["what"], row["age"], row["sent"], row["missed"]) == (BOB, "tap follow", 60.0, 0, 0)
    rows = (await made.ask("sessions")).last.data
    assert [one["who"] for one in rows] == [ALICE, BOB]
    assert len({one["id"] for one in rows}) == 2
    elsewhere = door(account="other")
    assert (await made.ask("sessions", door=elsewhere)).last.data == []
    refused = await made.ask(f"sessions stop {rows[0]['id']}", by=BOB)
    assert refused.last.state == "refused"
    assert (await made.ask(f"sessions stop {rows[0]['id']}", door=elsewhere)).last.state == "refused"
    assert tap.open == 2
    await made.ask("sessions stop all")
    await ended(mine)
    await made.ask(f"sessions stop {rows[1]['id'].lower()}")
    await ended(bobs)


async def test_who_stopped_it_is_said_to_whose_it_was(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    reader, task = await begun(made, tap, by=BOB)
    (row,) = (await made.ask("sessions")).last.data
    said = await made.ask(f"sessions stop {row['id']}")
    await ended(task)
    assert said.last.text == f"stopped {row['id']} tap follow of {BOB}"
    assert reader.last.text == f"0 lines, 0 s; stopped by {ALICE}"


async def test_all_are_ones_own_also_for_an_admin(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    _, task = await begun(made, tap, by=BOB)
    assert (await made.ask("sessions stop all")).last.state == "refused"
    assert (await made.ask("sessions stop")).last.state == "refused"
    assert tap.open == 1
    await made.ask("sessions stop all", by=BOB)
    await ended(task)


async def test_an_end_that_fits_several_names_none(scene: tuple[Site, Tap]) -> None:
    made, tap = scene
    _, first = await begun(made, tap, ident="01JD8M5W8X1V6Q2R3S4T5V6W7X")
    _, second = await begun(made, tap, ident="01JD8M5W8X1V6Q2R3S4T5V6A7X")
    refused = await made.ask("sessions stop 7X")
    assert refused.last.text == "2 sessions end in 7X; say more of its id"
    await made.ask("sessions stop W7X")
    await ended(first)
    await made.ask("sessions stop A7X")
    await ended(second)
