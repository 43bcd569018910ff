"""At most once, whatever is repeated, broken or stopped: what changes is on the disk before it starts."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from amon.access import AuditRecord
from amon.errors import Failed
from amon.runtime.dispatch import Dispatch
from amon.store import Journal, Record
from amon.wire import Ended
from amon.words import State
from tests.runtime.scene import ALICE, BOB, EVE, Ear, Said, Site, door, gate, site

SAME = "01J00000000000000000000XYZ"


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
    ear = await lab.ask("look", ident=SAME, door=door(account="other"))
    assert ear.last.state == State.refused
    assert not await lab.node.dispatch.repeat(("other", ALICE, SAME), ear)
    assert lab.log == ["look all", "look all"]


async def test_an_id_that_was_used_for_another_line_is_refused_and_not_answered_with_the_old_outcome(lab: Site) -> None:
    await lab.ask("look", ident=SAME)
    ear = await lab.ask("restart httpd", ident=SAME)
    assert ear.last.state == State.refused
    assert ear.last.text.startswith("this message has the id of an earlier one (lab look what=all)")
    assert lab.log == ["look all"]


@pytest.mark.parametrize("other", [{"line": "restart httpd"}, {"line": "look", "dry_run": True}])
async def test_an_id_that_is_under_way_for_something_else_is_refused_and_hears_nothing_of_its_end(
    lab: Site, other: dict[str, Any]
) -> None:
    lab.lab.body, go = gate(Said("fine"))
    ear, task = lab.begin("look", ident=SAME)
    await ear.wait("accepted")
    late = await lab.ask(other.pop("line"), ident=SAME, **other)
    assert late.heard == ["refused"]
    assert "the id of an earlier one (lab look)" in late.last.text
    go.set()
    await task
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
        self.dispatch: Dispatch

    async def accept(self, record: Record, *, durable: bool, audit: AuditRecord | None = None) -> Record | None:
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

    dispatch = Dispatch(lab.node.dispatch._grammar, lab.node.find, journal, lab.clock)
    ear = Telling()
    journal.dispatch = dispatch
    await dispatch.handle(lab.incoming(line, **more), ear)
    return ear


async def test_a_change_is_synced_before_it_starts_and_written_before_it_is_told(lab: Site) -> None:
    log: list[str] = []
    lab.lab.log = log
    await told(lab, Noting(log), "restart httpd")
    assert log == ["accept synced", "told accepted", "restart httpd", "end done, audit done", "told done"]


async def test_cancelling_while_the_outcome_is_written_comes_too_late_and_loses_nothing(lab: Site) -> None:
    class Late(Noting):
        async def end(self, record: Record, audit: AuditRecord) -> None:
            self.log.append(f"cancelled {self.dispatch.cancel(('lab', ALICE, SAME))}")
            await super().end(record, audit)

    log: list[str] = []
    ear = await told(lab, Late(log), "look", ident=SAME)
    assert ear.last.state == State.done
    assert log == ["accept unsynced", "told accepted", "cancelled False", "end done, audit done", "told done"]


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
        assert (outcome.state, outcome.text.partition(":")[0]) == ("lost", "interrupted")
        assert lab.node.take_interrupted("lab") == []
        assert (await lab.ask("restart httpd", ident=SAME)).last == outcome
        assert lab.log == []
        line = f"{ALICE} lab restart what=httpd"
        assert await lab.audit() == [f"{line}: accepted", f"{line}: interrupted"]
    async with site(tmp_path, file="j") as lab:
        assert lab.node.take_interrupted("lab") == []


async def test_a_repeat_of_what_ended_unwritten_is_not_run_again(lab: Site) -> None:
    shown = "lab restart what=httpd"
    await lab.journal.accept(Record(ALICE, SAME, "lab", ALICE, shown, "change", 1.0), durable=True)
    ear = await lab.ask("restart httpd", ident=SAME)
    assert (ear.last.state, ear.last.text) == (
        "lost",
        "was begun here before; how it ended is not known, look at the site",
    )
    assert lab.log == []


async def test_an_outcome_of_another_version_is_told_as_far_as_it_can_be(lab: Site) -> None:
    shown = "lab restart what=httpd"
    record = Record(ALICE, SAME, "lab", ALICE, shown, "change", 1.0, "done", '{"v":9,"body":""}', 2.0)
    await lab.journal.end(record, AuditRecord(1.0, "lab", ALICE, None, SAME, shown, True, "", "done"))
    ear = await lab.ask("restart httpd", ident=SAME)
    assert (ear.last.state, ear.last.text) == ("done", f"{shown} has ended, but how cannot be read any more")
