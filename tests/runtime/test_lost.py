"""A call that its agent died in: what is known of it is told, to whom it belongs, and it never runs again."""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

from amon.command import Call
from amon.runtime.lost import words_of
from amon.store import Journal, Record
from tests.runtime.scene import ALICE, Site, site

SAME = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
RECORD = Record(ALICE, SAME, "lab", ALICE, "lab restart what=httpd", "change", 1_763_654_400.0)


async def died(lab: Site, notes: list[str]) -> None:
    """The agent ends in the middle of a call that has said these notes, more than a second between two."""
    said = asyncio.Event()

    async def body(call: Call) -> Any:
        for place, text in enumerate(notes):
            if place:
                await lab.clock.sleep(1.5)
            call.note(text)
        said.set()
        await asyncio.Event().wait()

    lab.lab.body = body
    ear, task = lab.begin("restart httpd", ident=SAME)
    await ear.wait("accepted")
    for _ in notes[1:]:
        await lab.clock.wait_sleepers(3)
        lab.clock.advance(1.5)
    await said.wait()
    task.cancel()
    await asyncio.wait([task])


async def test_a_call_that_its_agent_died_in_is_lost_with_its_last_progress(tmp_path: Path) -> None:
    async with site(tmp_path, file="j") as lab:
        await died(lab, ["copying", "half of it"])
    async with site(tmp_path, file="j") as lab:
        ((record, outcome),) = lab.node.take_interrupted("lab")
        assert outcome.state == "lost"
        assert f"begun {lab_time(record.accepted)} for {ALICE}; last progress" in outcome.text
        assert outcome.text.endswith(": half of it; look at the site")
        assert (await lab.ask("restart httpd", ident=SAME)).last == outcome
        assert lab.log == []


async def test_progress_is_kept_once_a_second_at_most(tmp_path: Path) -> None:
    async with site(tmp_path, file="j") as lab:

        async def body(call: Call) -> Any:
            for place in range(9):  # within two seconds
                call.note(f"note {place}")
                await lab.clock.sleep(0.25)
            await asyncio.Event().wait()

        lab.lab.body = body
        before = lab.journal.transactions
        ear, task = lab.begin("restart httpd", ident=SAME)
        await ear.wait("accepted")
        for _ in range(9):
            await lab.clock.wait_sleepers(3)
            lab.clock.advance(0.25)
        (record,) = await lab.journal.interrupted()
        assert record.note == "note 8"
        assert lab.journal.transactions - before <= 6  # of nine notes three; accepted, the look
        task.cancel()
        await asyncio.wait([task])


async def test_what_is_secret_in_the_line_is_not_kept_in_a_note(tmp_path: Path) -> None:
    async with site(tmp_path, file="j") as lab:

        async def body(call: Call) -> Any:
            call.note("logging in with tok-1234567")
            await asyncio.Event().wait()

        lab.lab.body = body
        ear, task = lab.begin("unlock tok-1234567", ident=SAME)
        await ear.wait("accepted")
        await ear.wait("progress logging in with ***")
        (record,) = await lab.journal.interrupted()
        assert record.note == "logging in with ***"
        task.cancel()
        await asyncio.wait([task])


async def test_notes_that_the_disk_cannot_take_in_time_are_dropped_and_not_kept_in_memory(tmp_path: Path) -> None:
    async with Journal.open(tmp_path / "j") as journal:
        await journal.accept(RECORD, durable=True)
        for place in range(100_000):
            journal.progress(ALICE, SAME, f"note {place}", 1.0)
        assert journal._writer._waiting.qsize() <= 512
        (record,) = await journal.interrupted()
        assert record.note == "note 511"


async def test_a_note_of_a_call_that_has_ended_is_not_kept(tmp_path: Path) -> None:
    async with Journal.open(tmp_path / "j") as journal:
        await journal.accept(replace(RECORD, state="done", outcome="{}", ended=2.0), durable=True)
        journal.progress(ALICE, SAME, "late", 1.0)
        journal.progress(ALICE, "01ARZ3NDEKTSV4RRFFQ69G5FAW", "of nobody", 1.0)
        found = await journal.find(ALICE, SAME)
        assert found is not None
        assert found.note is None


async def test_a_journal_of_an_earlier_version_is_opened_and_its_calls_are_lost_without_progress(
    tmp_path: Path,
) -> None:
    old = sqlite3.connect(tmp_path / "j")
    old.execute(
        "CREATE TABLE calls (asker TEXT NOT NULL, id TEXT NOT NULL, account TEXT NOT NULL, reply_to TEXT NOT NULL,"
        " line TEXT NOT NULL, effect TEXT NOT NULL, accepted_seconds REAL NOT NULL, state TEXT, outcome TEXT,"
        " ended_seconds REAL, PRIMARY KEY (asker, id)) WITHOUT ROWID"
    )
    old.execute(
        "INSERT INTO calls VALUES (?, ?, 'lab', ?, 'lab restart', 'change', 5.0, NULL, NULL, NULL)",
        [ALICE, SAME, ALICE],
    )
    old.commit()
    old.close()
    async with site(tmp_path, file="j") as lab:
        ((_, outcome),) = lab.node.take_interrupted("lab")
        assert (outcome.state, "how far it came is not known" in outcome.text) == ("lost", True)


def test_the_words_say_when_for_whom_and_how_far_also_by_a_clock_that_is_far_off() -> None:
    noted = replace(RECORD, note="40% copying", noted=RECORD.accepted + 41)
    assert words_of(noted) == (
        f"interrupted: the agent ended while it did this; begun 2025-11-20 16:00:00Z for {ALICE}; "
        "last progress 2025-11-20 16:00:41Z: 40% copying; look at the site"
    )
    assert f"begun at {10**20} s for" in words_of(replace(RECORD, accepted=1e20))


def lab_time(at: float) -> str:
    from amon.runtime.lost import _when

    return _when(at)
