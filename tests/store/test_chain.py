"""The audit's chain in its file: it survives what a journal has to survive; its table takes nothing but new lines."""

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from amon.access import AuditRecord, Link, verify_chain
from amon.errors import Failed
from amon.store import Journal, Query, Record
from amon.store.chain import append, create, note

LINE = AuditRecord(1000.0, "main", "alice@example.org", None, "01J", "host status", True, "admin alice", "done")
CALL = Record("alice@example.org", "01J", "main", "alice@example.org/desk", "restart", "change", 1000.0)
ALL = Query(count=1_000_000)
# The table as the version before wrote it.
_BEFORE = """
CREATE TABLE audit (time_seconds REAL NOT NULL, account TEXT NOT NULL, asker TEXT NOT NULL, room TEXT,
    id TEXT NOT NULL, line TEXT NOT NULL, allowed INTEGER NOT NULL, rule TEXT NOT NULL, outcome TEXT NOT NULL)
"""


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


async def outcomes(journal: Journal) -> list[str]:
    """Of all lines, oldest first; the chain they form must be sound and whole."""
    page = await journal.page(ALL, 1_000_000)
    verdict = verify_chain(page.lines, page.anchor)
    assert (verdict.fault, verdict.head) == ("", page.head)
    assert page.before == page.anchor
    return [one.record.outcome for one in page.lines if one.record is not None]


async def write(journal: Journal, *names: str) -> None:
    for name in names:
        await journal.audit(replace(LINE, outcome=name))


async def test_every_line_is_chained_to_the_one_before_it(journal: Journal) -> None:
    await write(journal, "a", "b", "c")
    assert await outcomes(journal) == ["a", "b", "c"]


async def test_a_signed_change_in_a_room_is_kept_with_all_its_fields(journal: Journal) -> None:
    line = replace(LINE, room="ops@rooms.example.org", key="SHA256:abc", effect="danger", allowed=False)
    await journal.audit(line)
    assert await journal.recent(1) == [line]
    assert (await journal.page(ALL)).lines[0].record == line


async def test_what_changes_leaves_a_line_when_it_is_accepted_and_one_when_it_ends(journal: Journal) -> None:
    await journal.accept(CALL, durable=True, audit=replace(LINE, outcome="accepted"))
    await journal.end(replace(CALL, state="done", outcome="{}", ended=1001.0), LINE)
    assert await outcomes(journal) == ["accepted", "done"]


async def test_what_is_known_already_is_not_accepted_a_second_time(journal: Journal) -> None:
    for _ in range(2):
        await journal.accept(CALL, durable=True, audit=replace(LINE, outcome="accepted"))
    assert await outcomes(journal) == ["accepted"]


async def test_many_at_once_are_one_chain(journal: Journal) -> None:
    await asyncio.gather(*(write(journal, str(n)) for n in range(700)))
    assert sorted(await outcomes(journal), key=int) == [str(n) for n in range(700)]


async def test_a_group_that_is_rolled_back_leaves_no_hole(journal: Journal) -> None:
    await write(journal, "a")
    bad = journal.audit(replace(LINE, outcome="\ud800"))
    results = await asyncio.gather(write(journal, "b"), bad, write(journal, "c"), return_exceptions=True)
    assert [type(result) for result in results] == [type(None), Failed, type(None)]
    await write(journal, "d")
    assert await outcomes(journal) == ["a", "b", "c", "d"]


async def test_a_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        async with Journal.open(tmp_path / "j") as journal:
            await write(journal, name)
    async with Journal.open(tmp_path / "j") as journal:
        assert await outcomes(journal) == ["a", "b", "c"]


_WRITES_FOR_EVER = """
import asyncio, sys
from amon.store import Journal
from amon.store.chain import note

async def run():
    async with Journal.open(sys.argv[1]) as journal:
        while True:
            await asyncio.gather(*(journal.audit(note(1000.0, "x")) for _ in range(20)))
            print(flush=True)

asyncio.run(run())
"""


async def test_a_chain_is_whole_after_kill_9(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", _WRITES_FOR_EVER, str(tmp_path / "j"))
    writer = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    assert writer.stdout is not None
    async with asyncio.timeout(30):
        for _ in range(30):
            assert await writer.stdout.readline()
        writer.kill()
        told = 30 + (await writer.stdout.read()).count(b"\n")
        await writer.wait()
    async with Journal.open(tmp_path / "j") as journal:
        assert len(await outcomes(journal)) >= 20 * told
        await write(journal, "after")
        assert (await outcomes(journal))[-1] == "after"


# Append-only


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET outcome = 'refused' WHERE seq = 2",
        "UPDATE audit SET hash = x'00'",
        "DELETE FROM audit WHERE seq = 2",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT 2, time_seconds, account, asker, room, id, line, allowed, rule, 'x', key,"
        " effect, hash FROM audit WHERE seq = 2",
        "DELETE FROM audit_anchor",
        "UPDATE audit_anchor SET seq = 2, hash = x'00'",
        "UPDATE audit_anchor SET seq = 0",
        "UPDATE audit_anchor SET chain = x'00', seq = 2, hash = (SELECT hash FROM audit WHERE seq = 2)",
        "INSERT OR REPLACE INTO audit_anchor SELECT 1, chain, 2, x'00' FROM audit_anchor",
    ],
)
async def test_the_table_refuses_whatever_is_no_new_line(tmp_path: Path, statement: str) -> None:
    async with Journal.open(tmp_path / "j") as journal:
        await write(journal, "a", "b", "c")
    with sqlite3.connect(tmp_path / "j") as db, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(statement)
    async with Journal.open(tmp_path / "j") as journal:
        assert await outcomes(journal) == ["a", "b", "c"]


async def test_who_takes_the_guards_away_is_told_by_the_hashes(tmp_path: Path) -> None:
    async with Journal.open(tmp_path / "j") as journal:
        await write(journal, "a", "b", "c")
    with sqlite3.connect(tmp_path / "j") as db:
        db.execute("DROP TRIGGER audit_stays")
        db.execute("UPDATE audit SET outcome = 'refused' WHERE seq = 2")
    async with Journal.open(tmp_path / "j") as journal:
        page = await journal.page(ALL)
        assert verify_chain(page.lines, page.anchor).fault == "line 2 is not what was written after line 1"


# Pruning


async def test_the_oldest_lines_are_dropped_and_the_last_of_them_stays_as_the_anchor(journal: Journal) -> None:
    await write(journal, *(str(n) for n in range(20)))
    last = (await journal.page(ALL)).lines[14]
    await journal.forget(0.0, 5, now=2000.0)
    page = await journal.page(ALL)
    assert page.anchor == Link(15, last.hash)
    told = f"dropped lines 1 to 15, the last of them {last.hash}"
    assert await outcomes(journal) == ["15", "16", "17", "18", "19", told]


async def test_dropping_again_and_again_is_told_each_time_and_the_chain_stays_one(journal: Journal) -> None:
    first = await journal.page(ALL)
    for n in range(5):
        await write(journal, *"abc")
        await journal.forget(0.0, 4, now=2000.0 + n)
    assert any(outcome.startswith("dropped lines") for outcome in await outcomes(journal))
    page = await journal.page(ALL)
    assert page.chain == first.chain
    assert page.head.seq == 5 * 3 + 4  # the first three lines were few enough


async def test_few_lines_are_not_dropped_and_nothing_is_said(journal: Journal) -> None:
    await write(journal, "a", "b")
    await journal.forget(0.0, 2, now=2000.0)
    assert await outcomes(journal) == ["a", "b"]


async def test_a_journal_that_drops_everything_goes_on_with_its_chain(journal: Journal) -> None:
    await write(journal, "a", "b")
    await journal.forget(0.0, 0, now=2000.0)
    await write(journal, "c")
    assert (await outcomes(journal))[1:] == ["c"]


# A file from before


async def test_a_file_of_the_version_before_is_chained_without_losing_a_line(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "j")
    old.execute(_BEFORE)
    rows = [(float(n), "main", "alice@example.org", None, str(n), "status", n % 2, "rule", f"o{n}") for n in range(500)]
    old.executemany("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    old.execute("DELETE FROM audit WHERE rowid <= 100")  # that version dropped lines like this
    old.commit()
    old.close()
    for _ in range(2):  # the second time there is nothing to do
        async with Journal.open(tmp_path / "j") as journal:
            assert await outcomes(journal) == [f"o{n}" for n in range(100, 500)]
            page = await journal.page(Query(count=1))
            assert page.lines[0].record == AuditRecord(
                499.0, "main", "alice@example.org", None, "499", "status", True, "rule", "o499"
            )


def test_a_change_over_that_breaks_off_leaves_the_old_table_as_it_was() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute(_BEFORE)
    db.executemany("INSERT INTO audit VALUES (1.0, 'main', 'a', NULL, ?, 'x', 1, 'r', 'done')", [("1",), ("2",)])
    db.execute("PRAGMA max_page_count = 2")
    db.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        create(db)
    if db.in_transaction:
        db.execute("ROLLBACK")
    db.execute("PRAGMA max_page_count = 1000")
    assert db.execute("SELECT count(*) FROM audit").fetchone()[0] == 2
    create(db)
    append(db, note(2.0, "after"))
    assert [row[0] for row in db.execute("SELECT outcome FROM audit ORDER BY seq")] == ["done", "done", "after"]


async def test_each_file_has_a_chain_of_its_own(tmp_path: Path) -> None:
    names = []
    for file in ("a", "b"):
        async with Journal.open(tmp_path / file) as journal:
            names.append((await journal.page(ALL)).chain)
    assert names[0] != names[1]


# What is asked for


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(count=3), "ghi"),
        (Query(count=3, after=0), "abc"),
        (Query(count=3, after=7), "hi"),
        (Query(count=9, after=99), ""),
        (Query(count=99, since=1005.0), "fghi"),
        (Query(count=2, since=1005.0), "hi"),
        (Query(count=99, since=1005.0, after=7), "hi"),
        (Query(count=99, since=0.0), "abcdefghi"),
        (Query(count=99, since=9999.0), ""),
        (Query(count=99, until=1002.0), "abc"),
        (Query(count=99, who="bob@example.org"), "e"),
        (Query(count=99, refused=True), "b"),
    ],
)
async def test_the_lines_that_were_asked_for_come_oldest_first(journal: Journal, query: Query, expected: str) -> None:
    for place, name in enumerate("abcdefghi"):
        by = "bob@example.org" if name == "e" else LINE.asker
        outcome = "refused; more are not written down" if name == "b" else "done"
        await journal.audit(replace(LINE, time=1000.0 + place, line=name, asker=by, outcome=outcome))
    page = await journal.page(query)
    assert "".join(one.record.line for one in page.lines if one.record) == expected
    if not query.filtered:
        assert verify_chain(page.lines, page.before).fault == ""


async def test_lines_since_a_time_are_one_piece_though_the_clock_was_set_back(journal: Journal) -> None:
    for place, when in enumerate((1000.0, 2000.0, 1500.0, 1990.0, 2100.0)):
        await journal.audit(replace(LINE, time=when, line=str(place)))
    page = await journal.page(Query(count=99, since=1900.0))
    assert [one.record.line for one in page.lines if one.record] == ["3", "4"]
    assert not page.more


async def test_more_lines_than_a_page_takes_go_on_after_its_last(journal: Journal) -> None:
    await write(journal, *(str(n) for n in range(25)))
    page = await journal.page(Query(count=20), 8)
    assert (page.lines[0].seq, page.lines[-1].seq, page.more) == (6, 13, True)
    after = await journal.page(Query(count=20, after=13), 100)
    assert (after.lines[0].seq, after.lines[-1].seq, after.more) == (14, 25, False)
    assert verify_chain(after.lines, Link(13, page.lines[-1].hash)).fault == ""


async def test_what_is_shown_of_a_chain_is_on_the_disk_before(tmp_path: Path) -> None:
    synced: list[str] = []

    def fsync(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        os.fsync(handle)

    async with Journal.open(tmp_path / "j", fsync) as journal:
        await write(journal, "a")  # nothing that changes the site: not synced by itself
        assert synced == []
        await journal.page(ALL)
        assert synced == ["j-wal"]


async def test_a_disk_that_cannot_sync_does_not_stop_a_look(tmp_path: Path) -> None:
    def fsync(handle: int) -> None:
        raise OSError(5, "Input/output error")

    async with Journal.open(tmp_path / "j", fsync) as journal:
        await write(journal, "a")
        assert await outcomes(journal) == ["a"]


# Who else hears of it


async def test_a_sink_hears_of_each_line_once_it_is_written_with_its_place(journal: Journal) -> None:
    heard: list[tuple[str, Link | None]] = []
    journal.audit_to(lambda record, link: heard.append((record.outcome, link)))
    await journal.accept(CALL, durable=True, audit=replace(LINE, outcome="accepted"))
    await journal.accept(CALL, durable=True, audit=replace(LINE, outcome="accepted"))
    await write(journal, "b")
    lines = (await journal.page(ALL)).lines
    assert heard == [("accepted", Link(1, lines[0].hash)), ("b", Link(2, lines[1].hash))]


async def test_a_broken_journal_counts_what_it_lost_and_says_so_when_it_is_mended(journal: Journal) -> None:
    heard: list[Link | None] = []
    journal.audit_to(lambda record, link: heard.append(link))
    await write(journal, "a")
    pages = await journal._writer.do(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    await journal._writer.do(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").close())
    for _ in range(3):
        with pytest.raises(Failed, match="full"):
            await journal.audit(replace(LINE, line="x" * 50_000))
    assert heard[1:] == [None] * 3
    await journal._writer.do(lambda db: db.execute("PRAGMA max_page_count = 100000").close())
    await journal.probe(2000.0)
    await journal.probe(2001.0)
    assert await outcomes(journal) == ["a", "3 lines could not be written while the journal was broken"]
