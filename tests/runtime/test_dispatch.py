"""The one path: read, decide, journal, run, journal, answer; at most once, whatever is repeated, broken or stopped."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from amon.access import AuditRecord, Policy
from amon.command import Call
from amon.errors import Failed, Invalid, Refused
from amon.runtime.incoming import Door
from amon.store import Journal, Record
from amon.wire import Ended
from amon.words import State
from tests.runtime.scene import AGENTS, ALICE, BOB, DOOR, EVE, Ear, Said, Site, gate, raises, site


@dataclass(frozen=True, slots=True)
class Odd:
    """Its text is fine, its number is none that JSON can hold."""

    number: int

    def __str__(self) -> str:
        return "fine"


SAME = "01J00000000000000000000XYZ"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as made:
        yield made


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
    ear = await lab.ask("look", by=agent, door=Door("lab", Policy(owner=(agent, f"*@{AGENTS}")), AGENTS))
    assert ear.last.state == State.refused
    assert "agents do not command each other" in ear.last.text
    assert lab.log == []


async def test_what_needs_a_higher_role_is_refused_with_the_reason(lab: Site) -> None:
    ear = await lab.ask("restart httpd", by=BOB)
    assert ear.last.text == f"this needs role operator; {BOB} is observer here"
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


# At most once


async def test_the_same_id_twice_at_once_runs_once_and_both_hear_of_the_end(lab: Site) -> None:
    lab.lab.body, go = gate(Said("done it"))
    first, one = lab.begin("restart httpd", ident=SAME)
    second, two = lab.begin("restart httpd", ident=SAME)
    await first.wait("accepted")
    await second.wait("accepted")
    go.set()
    await asyncio.gather(one, two)
    assert first.last == second.last
    assert lab.log == ["restart httpd"]


async def test_the_same_id_later_is_told_the_stored_outcome(lab: Site) -> None:
    lab.lab.body = lambda call: Said("done it")
    first = await lab.ask("restart httpd", ident=SAME)
    second = await lab.ask("restart httpd", ident=SAME)
    assert second.heard == ["done"]
    assert second.last == first.last
    assert lab.log == ["restart httpd"]


async def test_the_same_id_after_a_restart_is_told_the_stored_outcome(tmp_path: Path) -> None:
    async with site(tmp_path, file="j") as lab:
        first = await lab.ask("restart httpd", ident=SAME)
    async with site(tmp_path, file="j") as lab:
        second = await lab.ask("restart httpd", ident=SAME)
        assert second.outcomes == first.outcomes
        assert lab.log == []


async def test_the_same_id_by_another_asker_or_account_is_no_repeat(lab: Site) -> None:
    await lab.ask("look", ident=SAME)
    assert (await lab.ask("look", ident=SAME, by=BOB)).last.state == State.done
    ear = await lab.ask("look", ident=SAME, door=replace(DOOR, account="other"))
    assert ear.last.state == State.refused
    assert not await lab.node.dispatch.repeat(("other", ALICE, SAME), ear)
    assert lab.log == ["look all", "look all"]


async def test_an_id_that_was_used_for_another_line_is_refused_and_not_answered_with_the_old_outcome(lab: Site) -> None:
    await lab.ask("look", ident=SAME)
    ear = await lab.ask("restart httpd", ident=SAME)
    assert ear.last.state == State.refused
    assert ear.last.text.startswith("this message has the id of an earlier one (lab look what=all)")
    assert lab.log == ["look all"]


async def test_who_asks_again_a_thousand_times_is_heard_by_few(lab: Site) -> None:
    lab.lab.body, go = gate()
    first, one = lab.begin("look", ident=SAME)
    await first.wait("accepted")
    ears = [Ear() for _ in range(1000)]
    for ear in ears:
        assert await lab.node.dispatch.repeat(("lab", ALICE, SAME), ear)
    go.set()
    await one
    assert first.last.state == State.done
    assert sum(bool(ear.outcomes) for ear in ears) <= 8
    assert ears[-1].outcomes == first.outcomes


async def test_an_asker_who_cannot_be_told_disturbs_no_other(lab: Site) -> None:
    class Deaf(Ear):
        def ended(self, outcome: Ended) -> None:
            raise ConnectionError("gone")

    lab.lab.body, go = gate()
    deaf, ear = Deaf(), Ear()
    one = asyncio.create_task(lab.node.dispatch.handle(lab.incoming("look", ident=SAME), deaf))
    await deaf.wait("accepted")
    await lab.node.dispatch.repeat(("lab", ALICE, SAME), ear)
    go.set()
    await one
    assert ear.last.state == State.done


# What changes is on the disk first


class Noting(Journal):
    """A journal that writes nothing and tells when it was asked to; `broken` says no."""

    def __init__(self, log: list[str], broken: bool = False) -> None:
        self.log = log
        self.broken = broken

    async def accept(self, record: Record, *, durable: bool) -> Record | None:
        await self._note(f"accept {'synced' if durable else 'unsynced'}")
        return None

    async def end(self, record: Record, audit: AuditRecord) -> None:
        await self._note(f"end {record.state}, audit {audit.outcome}")

    async def audit(self, record: AuditRecord) -> None:
        await self._note(f"audit {record.outcome}")

    async def _note(self, what: str) -> None:
        await asyncio.sleep(0)
        if self.broken:
            raise Failed("the site's journal cannot be written: disk full; look at its disk")
        self.log.append(what)


async def told(lab: Site, journal: Noting, line: str, **more: Any) -> Ear:
    """Through a dispatch of its own with that journal."""

    class Telling(Ear):
        def _heard(self, what: str) -> None:
            journal.log.append(f"told {what}")
            super()._heard(what)

    dispatch = type(lab.node.dispatch)(lab.node.dispatch._grammar, lab.node.find, journal, lab.clock)
    ear = Telling()
    await dispatch.handle(lab.incoming(line, **more), ear)
    return ear


async def test_a_change_is_synced_before_it_starts_and_written_before_it_is_told(lab: Site) -> None:
    log: list[str] = []
    lab.lab.log = log
    await told(lab, Noting(log), "restart httpd")
    assert log == ["accept synced", "told accepted", "restart httpd", "end done, audit done", "told done"]


async def test_a_reading_command_is_not_synced(lab: Site) -> None:
    log: list[str] = []
    lab.lab.log = log
    await told(lab, Noting(log), "look")
    assert log == ["accept unsynced", "told accepted", "look all", "end done, audit done", "told done"]


async def test_with_a_broken_journal_changes_are_refused_and_reading_goes_on(lab: Site) -> None:
    ear = await told(lab, Noting([], broken=True), "restart httpd")
    assert ear.last.state == State.failed
    assert ear.last.text.endswith("disk full; look at its disk; nothing was done")
    assert (await told(lab, Noting([], broken=True), "look")).last.state == State.done
    assert (await told(lab, Noting([], broken=True), "look", by=EVE)).last.state == State.refused
    assert (await told(lab, Noting([], broken=True), "nonsense")).last.state == State.invalid
    assert lab.log == ["look all"]


async def test_a_full_disk_is_said_in_health_and_once_in_the_log_and_what_is_broken_heals(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with site(tmp_path, file="j") as lab:
        stirred: list[str] = []
        lab.node.listen(lambda: stirred.append(lab.node.picture().status))

        async def limit(pages: int) -> None:
            await lab.journal._writer.do(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").close())

        lab.lab.body = lambda call: Said("x" * 16_000)
        await limit(1)
        for _ in range(10):  # the free space in the pages that there are
            ear = await lab.ask("look")
            assert ear.last.state == State.done
        while (ear := await lab.ask("restart httpd")).last.state == State.done:
            pass
        assert "database or disk is full" in ear.last.text
        assert lab.node.picture().show == "dnd"
        assert "journal database or disk is full: nothing can be changed here" in stirred[-1]
        await limit(10_000)
        assert (await lab.ask("restart httpd")).last.state == State.done
        await lab.clock.wait_sleepers(2)  # housekeeping, and who looks at the journal again
        lab.clock.advance(60)
        async with asyncio.timeout(5):
            while stirred[-1] != "OK 1/1":
                await lab.journal.recent(1)
        assert caplog.text.count("nothing can be changed here: database or disk is full") == 1


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
            call.progress(f"step {n}\x1b[2J" + "x" * 10_000)
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
    assert await lab.audit() == [f"{ALICE} lab restart what=httpd: cancelled"]
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
    calls[0].progress("still here")
    assert ear.heard == ["accepted", "done"]


async def test_a_call_that_is_cancelled_before_it_began_does_not_begin(lab: Site) -> None:
    ear, task = lab.begin("restart httpd", ident=SAME)
    await asyncio.sleep(0)
    assert lab.node.dispatch.cancel(("lab", ALICE, SAME))
    assert lab.node.dispatch.cancel(("lab", ALICE, SAME))
    await task
    assert ear.last.text == "cancelled before it began; nothing was done"
    assert lab.log == []


async def test_cancelling_while_the_outcome_is_written_loses_nothing(lab: Site) -> None:
    ends = asyncio.Event()

    class Slow(Noting):
        async def end(self, record: Record, audit: AuditRecord) -> None:
            ends.set()
            await asyncio.sleep(0)
            await super().end(record, audit)

    journal = Slow([])
    asking = asyncio.create_task(told(lab, journal, "look", ident=SAME))
    await ends.wait()
    ear = await asking
    assert ear.last.state == State.done


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


# Floods and stops


async def test_a_flood_is_refused_and_not_queued(lab: Site) -> None:
    lab.lab.body, go = gate()
    begun = [lab.begin("restart httpd") for _ in range(256)]
    async with asyncio.timeout(10):
        for ear, _ in begun:
            await ear.wait("accepted")
    assert lab.node.dispatch.under_way() == 256
    ear = await lab.ask("restart httpd")
    assert (ear.heard, ear.last.text) == (["refused"], "busy with 256 calls; ask again later")
    go.set()
    await asyncio.gather(*(task for _, task in begun))
    assert lab.node.dispatch.under_way() == 0
    assert (await lab.ask("restart httpd")).last.state == State.done


async def test_an_agent_stopped_in_the_middle_tells_it_once_at_its_next_start(tmp_path: Path) -> None:
    async with site(tmp_path, file="j") as lab:
        lab.lab.body, _ = gate()
        ear, task = lab.begin("restart httpd", ident=SAME)
        await ear.wait("accepted")
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert ear.heard == ["accepted"]
    async with site(tmp_path, file="j") as lab:
        assert lab.node.take_interrupted("another account") == []
        ((record, outcome),) = lab.node.take_interrupted("lab")
        assert (record.reply_to, record.line) == (f"{ALICE}/desk", "lab restart what=httpd")
        assert (outcome.state, outcome.text.partition(":")[0]) == ("failed", "interrupted")
        assert lab.node.take_interrupted("lab") == []
        assert (await lab.ask("restart httpd", ident=SAME)).last == outcome
        assert lab.log == []
        assert await lab.audit() == [f"{ALICE} lab restart what=httpd: interrupted"]
    async with site(tmp_path, file="j") as lab:
        assert lab.node.take_interrupted("lab") == []


async def test_a_repeat_of_what_ended_unwritten_is_not_run_again(lab: Site) -> None:
    shown = "lab restart what=httpd"
    await lab.journal.accept(Record(ALICE, SAME, "lab", ALICE, shown, "change", 1.0), durable=True)
    ear = await lab.ask("restart httpd", ident=SAME)
    assert (ear.last.state, ear.last.text) == (
        "failed",
        "was begun here before; how it ended is not known, look at the site",
    )
    assert lab.log == []


async def test_an_outcome_of_another_version_is_told_as_far_as_it_can_be(lab: Site) -> None:
    shown = "lab restart what=httpd"
    record = Record(ALICE, SAME, "lab", ALICE, shown, "change", 1.0, "done", '{"v":9,"body":""}', 2.0)
    await lab.journal.end(record, AuditRecord(1.0, "lab", ALICE, None, SAME, shown, True, "", "done"))
    ear = await lab.ask("restart httpd", ident=SAME)
    assert (ear.last.state, ear.last.text) == ("done", f"{shown} has ended, but how cannot be read any more")
