"""A command by a form: fields, confirmation, result; the way back, wrong values, signatures, and long work."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import pytest

from amon.access import COMMAND, Policy
from amon.command import Call, command
from amon.errors import Failed, Refused
from amon.fields import Field
from amon.module import Module
from amon.runtime.formsession import LIFE, LINES
from amon.runtime.formsteps import PATIENCE
from amon.runtime.node import Spec
from amon.testing import FakeClock
from amon.wire import read_challenge
from tests.runtime.filler import Filler, entry, fault, said, stage
from tests.runtime.hands import key_of, signed_door
from tests.runtime.scene import ALICE, BOB, Row, Said, Site, door, raises, site

Lines = Annotated[int, Field("how many", unit="1", least=0, most=100)]


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as lab:
        yield lab


@pytest.fixture
async def alice(lab: Site) -> Filler:
    return Filler(lab)


# --- from the first stage to the result


async def test_a_reading_command_without_parameters_is_done_at_once(alice: Filler) -> None:
    shown = await alice.begin("whoami")
    assert shown.status == "completed"
    assert shown.note is not None
    assert f"you are {ALICE}, admin here" in shown.note[1]


async def test_a_reading_command_asks_for_its_fields_and_shows_the_result(alice: Filler) -> None:
    alice.lab.lab.body = lambda call: [Row("httpd", "up"), Row("sshd", "down")]
    shown = await alice.begin("lab look")
    assert (shown.status, shown.actions) == ("executing", ("complete",))
    assert (entry(shown, "what").kind, entry(shown, "what").required) == ("text-single", False)
    done = await alice.go_on(what="all")
    assert done.status == "completed"
    assert done.note == ("info", "lab look: 1 up, 1 down")
    assert [(one.label, one.value) for one in done.entries] == [("httpd", "up"), ("sshd", "down")]


async def test_what_changes_something_shows_its_plan_and_is_done_on_a_yes(alice: Filler) -> None:
    shown = await alice.begin("lab restart")
    assert shown.actions == ("next",)
    asked = await alice.go_on(what="httpd")
    assert (asked.status, asked.actions) == ("executing", ("complete", "prev"))
    assert "would restart httpd" in said(asked)
    assert (entry(asked, "confirm").kind, entry(asked, "confirm").value) == ("boolean", "false")
    assert alice.lab.log == ["plan httpd"]
    done = await alice.go_on(confirm="1")
    assert done.note == ("info", "lab restart: done")
    assert alice.lab.log == ["plan httpd", "restart httpd"]


@pytest.mark.parametrize("yes", ["0", "false", "", "yes please", "2"])
async def test_whatever_is_no_yes_does_nothing_and_asks_again(alice: Filler, yes: str) -> None:
    await alice.begin("lab restart")
    await alice.go_on(what="httpd")
    again = await alice.go_on(confirm=yes)
    assert again.status == "executing"
    assert again.note is not None
    assert "nothing was done yet" in again.note[1]
    assert alice.lab.log == ["plan httpd"]


async def test_a_confirmation_without_its_form_is_no_yes(alice: Filler) -> None:
    await alice.begin("lab restart")
    await alice.go_on(what="httpd")
    assert stage(await alice.do("complete")).status == "executing"
    assert stage(await alice.do("execute")).status == "executing"
    assert alice.lab.log == ["plan httpd"]


async def test_a_yes_in_the_first_form_confirms_nothing(alice: Filler) -> None:
    await alice.begin("lab restart")
    asked = await alice.go_on(what="httpd", confirm="true")
    assert entry(asked, "confirm").value == "false"
    assert alice.lab.log == ["plan httpd"]


async def test_a_policy_that_wants_no_codes_does_not_skip_the_confirmation(lab: Site) -> None:
    alice = Filler(lab, door(Policy(admin=(ALICE,), confirm=(), rate=0)))
    await alice.begin("lab restart")
    assert entry(await alice.go_on(what="httpd"), "confirm").value == "false"
    assert lab.log == ["plan httpd"]


async def test_each_stage_leaves_the_lines_that_typing_it_would(alice: Filler) -> None:
    await alice.begin("lab restart")
    await alice.go_on(what="httpd")
    await alice.go_on(confirm="true")
    assert await alice.lab.audit() == [
        f"{ALICE} lab restart what=httpd: needs a yes",
        f"{ALICE} lab restart what=httpd: accepted",
        f"{ALICE} lab restart what=httpd: done",
    ]


async def test_a_step_that_is_sent_again_is_answered_alike_and_done_once(alice: Filler) -> None:
    await alice.begin("lab restart")
    await alice.go_on(what="httpd")
    once = await alice.do("complete", "same", confirm="true")
    assert await alice.do("complete", "same", confirm="true") == once
    assert alice.lab.log == ["plan httpd", "restart httpd"]
    assert fault(await alice.do("complete", "another", confirm="true")) == "item-not-found"
    assert alice.lab.log == ["plan httpd", "restart httpd"]


async def test_the_same_request_of_one_form_runs_once_in_a_site_that_forgot_the_answer(alice: Filler) -> None:
    await alice.begin("lab restart")
    await alice.go_on(what="httpd")
    (session,) = alice.forms.sessions._all.values()
    assert session.incoming is not None
    again = replace(session.incoming, confirmed=True)
    await alice.go_on(confirm="true")
    ear = await alice.lab.ask("", ident="01JD8M5W8X1V6Q2R3S4T5V6W7X")
    await alice.lab.node.dispatch.handle(again, ear)
    assert ear.last.state == "done"
    assert alice.lab.log == ["plan httpd", "restart httpd"]


# --- the way back, and away


async def test_back_from_the_confirmation_what_was_filled_in_is_still_there(alice: Filler) -> None:
    await alice.begin("lab restart")
    await alice.go_on(what="httpd")
    back = stage(await alice.do("prev"))
    assert entry(back, "what").value == "httpd"
    assert "would restart sshd" in said(await alice.go_on(what="sshd"))
    await alice.go_on(confirm="true")
    assert alice.lab.log == ["plan httpd", "plan sshd", "restart sshd"]


async def test_there_is_no_way_back_from_the_first_stage(alice: Filler) -> None:
    await alice.begin("lab restart")
    assert fault(await alice.do("prev")) == "bad-request"
    assert "would restart httpd" in said(await alice.go_on(what="httpd"))


async def test_a_form_that_is_cancelled_is_over_and_has_done_nothing(alice: Filler) -> None:
    await alice.begin("lab restart")
    await alice.go_on(what="httpd")
    gone = stage(await alice.do("cancel"))
    assert (gone.status, gone.note) == ("canceled", ("info", "cancelled; nothing was done"))
    assert fault(await alice.do("complete", confirm="true")) == "item-not-found"
    assert alice.lab.log == ["plan httpd"]


# --- what is filled in wrongly


async def test_a_wrong_value_is_pointed_at_and_nothing_is_lost(alice: Filler) -> None:
    await alice.begin("lab look")
    again = await alice.go_on(what="no good!")
    assert again.status == "executing"
    assert again.note is not None
    assert again.note[0] == "error"
    assert again.note[1].startswith("what: must match")
    assert entry(again, "what").value == "no good!"
    assert "<-- must match" in entry(again, "what").label
    assert (await alice.go_on(what="good")).status == "completed"
    assert alice.lab.log == ["look good"]


async def test_what_is_missing_is_said(alice: Filler) -> None:
    await alice.begin("lab restart")
    again = stage(await alice.do("complete"))
    assert again.note == ("error", "what: this is needed")
    assert alice.lab.log == []


async def test_what_the_plan_refuses_is_shown_with_the_fields(alice: Filler) -> None:
    await alice.begin("lab restart")
    again = await alice.go_on(what="ghost")
    assert again.note == ("error", "refused: there is no ghost here")
    assert entry(again, "what").value == "ghost"
    assert "would restart httpd" in said(await alice.go_on(what="httpd"))


async def test_what_fails_is_a_result(alice: Filler) -> None:
    alice.lab.lab.body = raises(Failed("no answer from 10.0.0.1"))
    await alice.begin("lab look")
    done = await alice.go_on()
    assert (done.status, done.note) == ("completed", ("error", "failed: no answer from 10.0.0.1"))


async def test_what_is_refused_after_the_yes_is_a_result(alice: Filler) -> None:
    alice.lab.lab.body = raises(Refused("it is busy"))
    await alice.begin("lab restart")
    await alice.go_on(what="httpd")
    done = await alice.go_on(confirm="true")
    assert (done.status, done.note) == ("completed", ("error", "refused: it is busy"))


async def test_a_quote_cannot_leave_its_field(alice: Filler) -> None:
    await alice.begin("lab unlock")
    done = await alice.go_on(token='x” what="cellar', what="door")
    assert done.status == "completed"
    (line,) = [line for line in await alice.lab.audit() if "unlock" in line]
    assert "what=door" in line


async def test_a_secret_is_neither_shown_again_nor_lost_nor_written_down(alice: Filler) -> None:
    shown = await alice.begin("lab unlock")
    assert entry(shown, "token").kind == "text-private"
    again = await alice.go_on(token="xyzzy-plugh", what="no good!")
    assert entry(again, "token").value == ""
    assert "xyzzy" not in repr(again)
    assert "xyzzy" not in repr(alice.forms.sessions._all)
    done = await alice.go_on(token="", what="door")
    assert done.status == "completed"
    assert "xyzzy" not in "\n".join([*await alice.lab.audit(), said(done)])


# --- signatures and second persons


async def test_what_must_be_signed_is_a_line_to_copy_and_a_field_to_paste_into(tmp_path: Path) -> None:
    async with site(tmp_path, clock=FakeClock(1_000_000)) as lab:
        alice = Filler(lab, signed_door(Policy(owner=(ALICE,), rate=0)))
        await alice.begin("lab wipe")
        shown = await alice.go_on(token="xyzzy")
        line = entry(shown, "challenge").value
        assert read_challenge(line).by == ALICE
        wrong = await alice.go_on(signature="bm8=")
        assert wrong.note is not None
        assert wrong.note[0] == "error"
        assert entry(wrong, "challenge").value == line
        done = await alice.go_on(signature=f"ok {key_of('alice').sign(line.encode(), COMMAND)}")
        assert said(done).startswith("lab wipe: wiped")
        (audit,) = [one for one in await lab.journal.recent(20) if one.outcome == "done"]
        assert audit.key == key_of("alice").public.fingerprint
        assert [one.rule[:9] for one in await lab.journal.recent(20) if one.outcome == "refused"] == ["signature"]


async def test_the_signature_of_somebody_else_does_nothing(tmp_path: Path) -> None:
    async with site(tmp_path, clock=FakeClock(1_000_000)) as lab:
        alice = Filler(lab, signed_door(Policy(owner=(ALICE, BOB), rate=0)))
        await alice.begin("lab wipe")
        line = entry(await alice.go_on(token="xyzzy"), "challenge").value
        again = await alice.go_on(signature=key_of("bob").sign(line.encode(), COMMAND))
        assert again.status == "executing"
        for nothing in (" ", "ok", "OK "):
            empty = await alice.go_on(signature=nothing)
            assert empty.note == ("warn", "nothing was done yet: paste what stands behind the ok, or cancel")


async def test_a_line_to_sign_that_is_too_old_is_made_anew(tmp_path: Path) -> None:
    async with site(tmp_path, clock=FakeClock(1_000_000)) as lab:
        alice = Filler(lab, signed_door(Policy(owner=(ALICE,), rate=0)))
        await alice.begin("lab wipe")
        old = entry(await alice.go_on(token="xyzzy"), "challenge").value
        lab.clock.advance(200)
        await alice.go_on(signature="")
        lab.clock.advance(101)
        again = await alice.go_on(signature=key_of("alice").sign(old.encode(), COMMAND))
        new = entry(again, "challenge").value
        assert new != old
        assert "wiped" in said(await alice.go_on(signature=key_of("alice").sign(new.encode(), COMMAND)))


async def test_a_yes_does_not_do_for_a_signature(tmp_path: Path) -> None:
    async with site(tmp_path, clock=FakeClock(1_000_000)) as lab:
        alice = Filler(lab, signed_door(Policy(owner=(ALICE,), rate=0)))
        await alice.begin("lab wipe")
        await alice.go_on(token="xyzzy")
        assert (await alice.go_on(confirm="true")).status == "executing"


async def test_a_second_person_is_waited_for_and_next_looks_again(lab: Site) -> None:
    two = door(Policy(admin=(ALICE, BOB), two_persons=("lab restart",), confirm=(), rate=0))
    alice = Filler(lab, two)
    await alice.begin("lab restart")
    await alice.go_on(what="httpd")
    looking = asyncio.create_task(alice.go_on(confirm="true"))
    await lab.clock.wait_sleepers(4)
    lab.clock.advance(2)
    shown = await looking
    assert (shown.status, shown.actions) == ("executing", ("next",))
    assert shown.note is not None
    word = shown.note[1].partition("approve ")[2][:3]
    bob = alice.other(BOB)
    await bob.begin("approve")
    waits = await bob.go_on(word=word)
    assert waits.note is not None
    assert f"{ALICE} asks for" in waits.note[1]
    whole = waits.note[1].rpartition("approve ")[2]
    assert "goes on" in said(await bob.go_on(word=whole))
    assert (await alice.go_on()).note == ("info", "lab restart: done")
    assert lab.log == ["plan httpd", "restart httpd"]


# --- long work


def held() -> tuple[Callable[[Call], Coroutine[Any, Any, None]], asyncio.Event]:
    """A body that never ends by itself, and the event of its beginning."""
    begun = asyncio.Event()

    async def body() -> None:
        begun.set()
        await asyncio.Event().wait()

    return lambda call: body(), begun


async def test_long_work_says_how_far_it_is_and_next_looks_again(alice: Filler) -> None:
    going, told = asyncio.Event(), asyncio.Event()

    async def work(call: Call) -> Said:
        call.progress(40, 100, "copying")
        told.set()
        await going.wait()
        return Said("copied")

    alice.lab.lab.body = work
    await alice.begin("lab restart")
    await alice.go_on(what="httpd")
    looking = asyncio.create_task(alice.go_on(confirm="true"))
    await told.wait()
    alice.lab.clock.advance(10)
    shown = await looking
    assert shown.note == ("info", "still at it: 40%, copying; Next looks again")
    assert shown.actions == ("next",)
    assert shown.entries
    going.set()
    assert (await alice.go_on()).note == ("info", "lab restart: copied")


@pytest.mark.parametrize("way", ["cancel", "field"])
async def test_long_work_can_be_cancelled(alice: Filler, way: str) -> None:
    alice.lab.lab.body, begun = held()
    await alice.begin("lab restart")
    await alice.go_on(what="httpd")
    looking = asyncio.create_task(alice.go_on(confirm="true"))
    await begun.wait()
    alice.lab.clock.advance(10)
    await looking
    gone = stage(await alice.do("cancel")) if way == "cancel" else await alice.go_on(cancel="1")
    assert gone.status == "canceled"
    assert gone.note is not None
    assert "look what it left" in gone.note[1]
    assert alice.lab.node.dispatch.under_way() == 0


async def test_while_a_step_is_being_done_only_cancel_is_taken(alice: Filler) -> None:
    alice.lab.lab.body, begun = held()
    await alice.begin("lab restart")
    await alice.go_on(what="httpd")
    looking = asyncio.create_task(alice.go_on(confirm="true"))
    await begun.wait()
    assert fault(await alice.do("complete", confirm="true")) == "unexpected-request"
    assert stage(await alice.do("cancel")).status == "canceled"
    assert (await looking).status == "completed"
    assert alice.lab.log == ["plan httpd", "restart httpd"]


async def test_what_does_not_let_itself_be_cancelled_leaves_nobody_waiting(alice: Filler) -> None:
    begun, going = asyncio.Event(), asyncio.Event()

    async def body() -> None:
        begun.set()
        while not going.is_set():
            try:
                await going.wait()
            except asyncio.CancelledError:
                continue

    alice.lab.lab.body = lambda call: body()
    await alice.begin("lab restart")
    await alice.go_on(what="httpd")
    looking = asyncio.create_task(alice.go_on(confirm="true"))
    await begun.wait()
    ending = asyncio.create_task(alice.do("cancel"))
    await alice.lab.clock.wait_sleepers(5)
    alice.lab.clock.advance(2)
    gone = stage(await ending)
    assert (gone.status, gone.note) == ("canceled", ("warn", "it is being cancelled; look what it left"))
    going.set()
    assert (await looking).status == "canceled"


# --- sessions


class Tail(Module[None]):
    """Goes on telling, or tells three lines and ends."""

    @command()
    async def follow(self, call: Call, lines: Lines = 0) -> AsyncIterator[str]:
        """Tell."""
        number = 0
        while not lines or number < lines:
            number += 1
            yield f"line {number}"
            await asyncio.sleep(0)


async def test_of_a_session_a_form_shows_the_beginning_and_says_what_to_type(tmp_path: Path) -> None:
    async with site(tmp_path, specs=(Spec("tail", "tail", Tail),)) as lab:
        alice = Filler(lab)
        await alice.begin("tail follow")
        done = await alice.go_on(lines="")
        assert done.status == "completed"
        assert done.note is not None
        assert done.note[0] == "info"
        shown = [one.value for one in done.entries if one.var.startswith("said")]
        assert len(shown) == LINES
        assert shown == [f"line {number + 1}" for number in range(LINES)]
        assert done.entries[-1].value == "a form shows the beginning only; to go on, type tail follow"
        await asyncio.gather(*alice.tasks)
        assert lab.node.dispatch.under_way() == 0


async def test_a_session_that_ends_by_itself_is_shown_whole(tmp_path: Path) -> None:
    async with site(tmp_path, specs=(Spec("tail", "tail", Tail),)) as lab:
        alice = Filler(lab)
        await alice.begin("tail follow")
        done = await alice.go_on(lines="3")
        assert [one.value for one in done.entries][:3] == ["line 1", "line 2", "line 3"]


async def test_a_session_that_says_nothing_is_not_waited_for_longer_than_a_form_waits(tmp_path: Path) -> None:
    async with site(tmp_path, specs=(Spec("mute", "mute", Mute),)) as lab:
        alice = Filler(lab)
        looking = asyncio.create_task(alice.begin("mute"))
        await lab.clock.wait_sleepers(4)
        await lab.clock.turn(PATIENCE + 3)
        done = await looking
        assert (done.status, done.note) == ("completed", ("info", "mute: 0 lines so far"))
        await asyncio.gather(*alice.tasks)
        assert lab.node.dispatch.under_way() == 0


class Mute(Module[None]):
    """Never says anything."""

    @command()
    async def mute(self, call: Call) -> AsyncIterator[str]:
        """Say nothing."""
        await asyncio.Event().wait()
        yield ""


# --- what a result looks like


async def test_forty_rows_are_shown_and_the_rest_is_counted(alice: Filler) -> None:
    alice.lab.lab.body = lambda call: [Row(f"s{n}", "up") for n in range(152)]
    await alice.begin("lab look")
    done = await alice.go_on(what="all")
    assert len(done.entries) == 41
    assert done.entries[-1].value == "and 112 more: type lab look what=all"


async def test_what_says_itself_in_one_line_shows_its_parts_below(alice: Filler) -> None:
    done = await alice.begin("status")
    assert done.note == ("info", "status: OK 1/1")
    assert [(one.label, one.value) for one in done.entries] == [("lab", "ok  up  fine")]


async def test_a_long_text_is_one_line_a_field(alice: Filler) -> None:
    await alice.begin("help")
    done = await alice.go_on()
    assert {one.kind for one in done.entries} == {"fixed"}
    assert any("lab:" in one.value for one in done.entries)


@dataclass(frozen=True, slots=True)
class Evil:
    name: Annotated[str, Field("its name")]
    text: Annotated[str, Field("what it says")]


async def test_what_hosts_say_is_made_visible_and_short(alice: Filler) -> None:
    alice.lab.lab.body = lambda call: [Evil("a\u202eb", "x" * 10_000 + "\x1b[2J")]
    await alice.begin("lab look")
    (row,) = (await alice.go_on()).entries
    assert row.label == "a\ufffdb"
    assert len(row.value) == 400


async def test_the_end_of_a_form_keeps_nothing_of_what_was_filled_in(alice: Filler) -> None:
    await alice.begin("lab unlock")
    await alice.go_on(token="xyzzy-plugh")
    (session,) = alice.forms.sessions._all.values()
    assert (session.stage, session.given, session.incoming) == ("over", {}, None)


async def test_a_form_is_forgotten_though_nobody_asks_again(alice: Filler) -> None:
    await alice.begin("lab unlock")
    await alice.go_on(token="xyzzy-plugh", what="no good!")
    (session,) = alice.forms.sessions._all.values()
    assert session.given
    await alice.lab.clock.turn(LIFE + 120, step=60)
    assert len(alice.forms.sessions) == 0
    assert not alice.sweeps
    await alice.begin("lab look")
    assert len(alice.sweeps) == 1
