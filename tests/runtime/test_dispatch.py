"""The one path: read, decide, journal, run, journal, answer; at most once, whatever is repeated, broken or stopped."""

import asyncio
import logging
from dataclasses import dataclass

import pytest

from amon.access import Policy
from amon.command import Call
from amon.errors import Failed, Invalid, Refused
from amon.words import State
from tests.runtime.scene import AGENTS, ALICE, BOB, EVE, Ear, Said, Site, door, gate, raises


@dataclass(frozen=True, slots=True)
class Odd:
    """Its text is fine, its number is none that JSON can hold."""

    number: int

    def __str__(self) -> str:
        return "fine"


SAME = "01J00000000000000000000XYZ"


# Who may


async def test_a_reading_command_is_accepted_done_and_audited(lab: Site) -> None:
    lab.lab.body = lambda call: Said("seen")
    ear = await lab.ask("look")
    assert ear.heard == ["accepted", "done"]
    assert (ear.last.text, ear.last.data) == ("seen", {"text": "seen"})
    assert await lab.audit() == [f"{ALICE} lab look what=all: done"]


async def test_a_stranger_is_refused_before_a_word_is_read(lab: Site) -> None:
    for line in ("look", "nonsense", "'", "x" * 100_000):
        ear = await lab.ask(line, by=EVE)
        assert (ear.heard, ear.last.text) == (["refused"], f"{EVE} has no role here; ask the owner of this site")
    assert lab.log == []
    assert (await lab.audit())[:2] == [f"{EVE} lab look: refused", f"{EVE} nonsense ...: refused"]


async def test_agents_do_not_command_each_other_even_if_the_policy_says_so(lab: Site) -> None:
    agent = f"cern@{AGENTS}"
    ear = await lab.ask("look", by=agent, door=door(Policy(owner=(agent, f"*@{AGENTS}"))))
    assert ear.last.state == State.refused
    assert "agents do not command each other" in ear.last.text
    assert lab.log == []


async def test_what_needs_a_higher_role_is_refused_with_the_reason(lab: Site) -> None:
    ear = await lab.ask("restart httpd", by=BOB)
    assert ear.last.text == f"this needs role operator; {BOB} is observer here; ask an admin of this site: {ALICE}"
    assert lab.log == []
    assert await lab.audit() == [f"{BOB} lab restart what=httpd: refused"]


async def test_words_that_mean_nothing_are_invalid_and_audited_without_their_values(lab: Site) -> None:
    ear = await lab.ask("restrat httpd")
    assert ear.last.state == State.invalid
    assert "did you mean restart" in ear.last.text
    await lab.ask("lab unlock hunter2 --bogus=3")
    assert await lab.audit() == [f"{ALICE} restrat ...: invalid", f"{ALICE} lab unlock ...: invalid"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "nothing was asked"),
        ("look 'all", "never closed"),
        ("look a b c", "takes nothing more"),
        ("restart", "needs what"),
        ("look what=\u202eevil", "invisible"),
        ("look a\x07", "invisible"),
        ("unlock pass\u202eword", "invisible"),
        ("look " + "x" * 1_000_000, "1000005 characters long"),
        ("look " + "x" * 100, "100 characters long"),
    ],
)
async def test_bad_input_is_a_clear_error_and_nothing_is_done(lab: Site, line: str, said: str) -> None:
    ear = await lab.ask(line)
    assert ear.heard == ["invalid"]
    assert said in ear.last.text
    assert ear.last.text.isprintable() or "\n" in ear.last.text
    assert lab.log == []


async def test_secrets_are_neither_in_the_journal_nor_in_the_audit(lab: Site) -> None:
    for line, by in (("unlock hunter2", ALICE), ("wipe hunter2", BOB), ("unlock hunter2 'x y'", ALICE)):
        await lab.ask(line, by=by)
        await lab.ask(line, by=EVE)
    assert (await lab.audit())[0] == f"{ALICE} lab unlock token=*** what=door: done"
    everything = await lab.journal._writer.do(
        lambda db: repr([db.execute(f"SELECT * FROM {table}").fetchall() for table in ("calls", "audit")])
    )
    assert "hunter2" not in everything


async def test_refusals_of_one_asker_fill_neither_disk_nor_memory(lab: Site) -> None:
    for _ in range(200):
        assert (await lab.ask("look", by=EVE)).heard == ["refused"]
    lines = await lab.audit()
    assert len(lines) == 20
    assert lines[-1] == f"{EVE} lab look: refused; more within 60 s are not written down"


async def test_strangers_with_many_addresses_fill_no_disk_and_hide_no_refusal_of_who_is_known(lab: Site) -> None:
    for number in range(1100):
        await lab.ask("look", by=f"eve{number}@evil.example")
    assert len(await lab.audit()) == 20
    await lab.ask("restart httpd", by=BOB)
    assert (await lab.audit())[-1] == f"{BOB} lab restart what=httpd: refused"


async def test_people_of_a_pattern_cannot_use_up_the_requests_of_others(lab: Site) -> None:
    here = door(Policy(observer=("*@campus.example",), admin=(ALICE,), rate=5))
    for number in range(1100):
        assert (await lab.ask("look", by=f"eve{number}@campus.example", door=here)).last.state == "done"
    assert (await lab.ask("look", door=here)).last.state == "done"


# How it ends


async def test_at_the_deadline_it_is_still_running_and_the_end_comes_late(lab: Site) -> None:
    lab.lab.body, go = gate(Said("at last"))
    ear, task = lab.begin("restart httpd", deadline=30.0)
    await lab.clock.wait_sleepers(2)  # housekeeping, and who waits for the deadline
    lab.clock.advance(30)
    await ear.wait("running")
    assert ear.last.text == "still at it after 30 s"
    go.set()
    await task
    assert [(one.state, one.text) for one in ear.outcomes[1:]] == [("done", "at last")]


async def test_a_command_that_takes_longer_than_it_may_is_ended(lab: Site) -> None:
    lab.lab.body, _ = gate()
    ear = await lab.ask("look")
    assert (ear.last.state, ear.last.text) == ("failed", "lab look was not done in 0.2 s and was ended")


async def test_the_errors_of_a_module_are_mapped_to_what_they_mean(lab: Site, caplog: pytest.LogCaptureFixture) -> None:
    for error, state, text in (
        (Refused("no unit ngnix\u202e"), "refused", "no unit ngnix\ufffd"),
        (Invalid("no such word", "look x", 5, 6), "invalid", "no such word\n  look x\n       ^"),
        (Failed("no answer from 10.0.0.1"), "failed", "no answer from 10.0.0.1"),
        (TimeoutError("connect"), "failed", "lab look timed out: connect"),
    ):
        lab.lab.body = raises(error)
        ear = await lab.ask("look")
        assert (ear.last.state, ear.last.text) == (state, text)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "bug", [ValueError("password=hunter2"), SystemExit("hunter2"), asyncio.CancelledError("hunter2")], ids=repr
)
async def test_a_bug_shows_a_number_and_never_its_text(
    lab: Site, bug: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    lab.lab.body = raises(bug)
    ear = await lab.ask("look", ident=SAME)
    assert ear.last.state == State.failed
    assert ear.last.text == f"bug in lab look, incident {SAME[-6:]}; the site's log has the rest"
    assert f"incident {SAME[-6:]}" in caplog.text
    lab.lab.body = lambda call: None
    assert (await lab.ask("look")).last.state == State.done


async def test_a_result_that_json_cannot_hold_is_a_bug_and_not_the_end(lab: Site) -> None:
    for odd in (10**5000, Odd(10**5000)):
        lab.lab.body = lambda call, odd=odd: odd  # type: ignore[misc]
        assert "bug in lab look" in (await lab.ask("look")).last.text


async def test_progress_is_told_but_not_more_often_than_anybody_reads(lab: Site) -> None:
    def body(call: Call) -> None:
        for n in range(100):
            call.note(f"step {n}\x1b[2J" + "x" * 10_000)
            lab.clock.advance(0.05)

    lab.lab.body = body
    ear = await lab.ask("look")
    notes = [one for one in ear.heard if one.startswith("progress")]
    assert 15 <= len(notes) <= 25
    assert all(len(note) < 250 and note.isprintable() for note in notes)


# Cancelling


async def test_only_its_own_asker_ends_a_call(lab: Site) -> None:
    lab.lab.body, _ = gate()
    ear, task = lab.begin("restart httpd", ident=SAME)
    await ear.wait("accepted")
    await asyncio.sleep(0)
    assert not lab.node.dispatch.cancel(("lab", BOB, SAME))
    assert not lab.node.dispatch.cancel(("other", ALICE, SAME))
    assert lab.node.dispatch.cancel(("lab", ALICE, SAME))
    await task
    assert (ear.last.state, ear.last.text) == ("cancelled", "cancelled while it ran; look what it left")
    line = f"{ALICE} lab restart what=httpd"
    assert await lab.audit() == [f"{line}: accepted", f"{line}: cancelled"]
    assert not lab.node.dispatch.cancel(("lab", ALICE, SAME))
    assert (await lab.ask("restart httpd", ident=SAME)).outcomes == ear.outcomes


async def test_cancelling_leaves_no_trace_in_the_task_that_did_it(lab: Site) -> None:
    lab.lab.body, _ = gate()
    ear, left = Ear(), []

    async def asking() -> None:
        await lab.node.dispatch.handle(lab.incoming("restart httpd", ident=SAME), ear)
        task = asyncio.current_task()
        assert task is not None
        left.append(task.cancelling())

    one = asyncio.create_task(asking())
    await lab.clock.wait_sleepers(2)
    assert lab.node.dispatch.cancel(("lab", ALICE, SAME))
    await one
    assert left == [0]


async def test_a_stop_of_the_agent_goes_before_a_cancelling_by_the_asker(lab: Site) -> None:
    lab.lab.body, _ = gate()
    ear, task = lab.begin("restart httpd", ident=SAME)
    await lab.clock.wait_sleepers(2)
    assert lab.node.dispatch.cancel(("lab", ALICE, SAME))
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert ear.heard == ["accepted"]
    assert [record.id for record in await lab.journal.interrupted()] == [SAME]


async def test_progress_that_comes_after_the_end_is_not_told(lab: Site) -> None:
    calls: list[Call] = []
    lab.lab.body = calls.append
    ear = await lab.ask("look")
    lab.clock.advance(1)
    calls[0].note("still here")
    assert ear.heard == ["accepted", "done"]


async def test_a_call_that_is_cancelled_before_it_began_does_not_begin(lab: Site) -> None:
    ear, task = lab.begin("restart httpd", ident=SAME)
    await asyncio.sleep(0)
    assert lab.node.dispatch.cancel(("lab", ALICE, SAME))
    assert lab.node.dispatch.cancel(("lab", ALICE, SAME))
    await task
    assert ear.last.text == "cancelled before it began; nothing was done"
    assert lab.log == []


async def test_a_method_that_does_not_heed_the_cancelling_still_ends_once(lab: Site) -> None:
    async def stubborn() -> Said:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return Said("cleaned up")

    lab.lab.body = lambda call: stubborn()
    ear, task = lab.begin("restart httpd", ident=SAME)
    await ear.wait("accepted")
    await asyncio.sleep(0)
    assert lab.node.dispatch.cancel(("lab", ALICE, SAME))
    await task
    assert ear.heard == ["accepted", "done"]


# Plans


async def test_a_dry_run_never_calls_the_body_and_is_audited_but_not_journalled(lab: Site) -> None:
    for more in ({"dry_run": True}, {"sites": 5}):
        ear = await lab.ask("restart httpd", ident=SAME, **more)
        assert (ear.plan or ear.last.text) == "would restart httpd"
    assert (await lab.ask("restart httpd --dry-run")).last.text == "would restart httpd"
    assert (await lab.ask("look --dry-run")).last.text == "would read: lab look"
    assert lab.log == ["plan httpd"] * 3
    assert await lab.journal.find(ALICE, SAME) is None
    assert [line.rpartition(": ")[2] for line in await lab.audit()] == ["done", "needs a yes", "done", "done"]


async def test_a_change_for_several_sites_needs_a_word_and_runs_with_it_under_the_same_id(lab: Site) -> None:
    ear = await lab.ask("restart httpd", ident=SAME, sites=2)
    assert ear.heard == ["needs a yes for change"]
    again = await lab.ask("restart httpd", ident=SAME, sites=2, confirmed=True)
    assert again.heard == ["accepted", "done"]
    assert lab.log == ["plan httpd", "restart httpd"]


async def test_a_yes_that_comes_at_once_does_not_find_the_question_under_way(lab: Site) -> None:
    ear, question = lab.begin("restart httpd", ident=SAME, sites=2)
    await ear.wait("needs a yes for change")
    again = await lab.ask("restart httpd", ident=SAME, sites=2, confirmed=True)
    assert again.heard == ["accepted", "done"]
    await question


async def test_what_is_refused_when_planned_asks_for_no_word(lab: Site) -> None:
    ear = await lab.ask("restart ghost", sites=2)
    assert (ear.heard, ear.last.text) == (["refused"], "there is no ghost here")


async def test_who_may_not_change_may_not_see_the_plan_either(lab: Site) -> None:
    assert (await lab.ask("restart httpd", by=BOB, dry_run=True)).heard == ["refused"]
    assert lab.log == []


async def test_reading_several_sites_needs_no_word(lab: Site) -> None:
    assert (await lab.ask("look", sites=100)).heard == ["accepted", "done"]
