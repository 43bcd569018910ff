"""The journal on a real file: once is once, what is told is on the disk, and a bad disk is said and survived."""

import asyncio
import contextlib
import sqlite3
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from amon.access import AuditRecord
from amon.errors import Failed
from amon.health import Maintenance
from amon.store import Journal, Record

RECORD = Record("alice@example.org", "01J", "lab", "alice@example.org/desk", "uptime", "read", 1000.0)
AUDIT = AuditRecord(1001.0, "lab", "alice@example.org", None, "01J", "uptime", True, "admin alice@example.org", "done")
LARGE = "x" * 50_000


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


def ended(record: Record, state: str = "done") -> Record:
    return replace(record, state=state, outcome="{}", ended=record.accepted + 1)


async def limit(journal: Journal, pages: int) -> None:
    """A disk that is full: SQLite says SQLITE_FULL when the file may not grow."""
    await journal._writer.do(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").close())


async def test_the_first_accept_is_new_and_the_second_gets_what_is_known(journal: Journal) -> None:
    assert await journal.accept(RECORD, durable=True) is None
    assert await journal.accept(RECORD, durable=True) == RECORD
    await journal.end(ended(RECORD), AUDIT)
    assert await journal.accept(RECORD, durable=False) == ended(RECORD)


async def test_in_which_body_a_call_was_asked_is_kept_and_of_an_earlier_version_it_is_not_known(tmp_path: Path) -> None:
    asked = replace(RECORD, asked="0" * 26)
    async with Journal.open(tmp_path / "j") as journal:
        await journal.accept(asked, durable=True)
        assert await journal.find(asked.asker, asked.id) == asked
    with contextlib.closing(sqlite3.connect(tmp_path / "j")) as old:
        old.execute("ALTER TABLE calls DROP COLUMN asked")
        old.commit()
    async with Journal.open(tmp_path / "j") as journal:
        assert await journal.find(asked.asker, asked.id) == replace(asked, asked="")
        await journal.end(ended(asked), AUDIT)
        assert await journal.find(asked.asker, asked.id) == ended(asked)


async def test_the_same_id_by_another_asker_is_another_call(journal: Journal) -> None:
    assert await journal.accept(RECORD, durable=False) is None
    assert await journal.accept(replace(RECORD, asker="bob@example.org"), durable=False) is None
    assert await journal.find("carol@example.org", RECORD.id) is None


async def test_many_accepts_of_one_id_at_once_let_exactly_one_begin(journal: Journal) -> None:
    known = await asyncio.gather(*(journal.accept(RECORD, durable=False) for _ in range(50)))
    assert known.count(None) == 1


async def test_what_comes_together_goes_into_few_transactions(journal: Journal) -> None:
    before = journal.transactions
    records = [replace(RECORD, id=str(n)) for n in range(300)]
    await asyncio.gather(*(journal.accept(record, durable=True) for record in records))
    assert journal.transactions - before <= 3


async def test_a_durable_piece_makes_its_whole_transaction_synced_and_others_are_not(journal: Journal) -> None:
    async def mode(durable: bool) -> int:
        found = await journal._writer.do(lambda db: db.execute("PRAGMA synchronous").fetchone()[0], durable=durable)
        return int(found)

    full, normal = 2, 1  # sqlite.org/pragma.html#pragma_synchronous
    assert await mode(True) == full
    assert await mode(False) == normal
    assert list(await asyncio.gather(mode(False), mode(True))) == [full, full]


async def test_a_full_disk_is_told_to_everybody_and_nothing_is_kept(journal: Journal) -> None:
    noted: list[str] = []
    journal.watch(lambda: noted.append(journal.fault))
    await limit(journal, 1)
    records = [replace(RECORD, id=str(n), line=LARGE) for n in range(5)]
    results = await asyncio.gather(*(journal.accept(one, durable=True) for one in records), return_exceptions=True)
    assert [str(result) for result in results] == [
        "the site's journal cannot be written: database or disk is full; look at its disk"
    ] * 5
    assert journal.fault == "database or disk is full"
    assert await journal.find(RECORD.asker, "0") is None  # and reading goes on
    assert noted == ["database or disk is full"]
    with pytest.raises(Failed, match="database or disk is full"):
        await journal.probe(2000.0)
    await limit(journal, 10_000)
    assert await journal.accept(records[0], durable=True) is None
    assert journal.fault == "database or disk is full"
    await journal.probe(2000.0)
    assert noted == ["database or disk is full", ""]
    assert journal.fault == ""


async def test_a_file_that_was_deleted_or_replaced_is_told_until_it_is_back(tmp_path: Path) -> None:
    file, aside = tmp_path / "j", tmp_path / "aside"
    async with Journal.open(file) as journal:
        file.rename(aside)
        for _ in range(2):  # not there; another in its place
            with pytest.raises(Failed, match="was taken away or replaced; restart what has it open"):
                await journal.accept(RECORD, durable=True)
            assert "taken away" in journal.fault
            file.touch()
        assert await journal.accept(RECORD, durable=False) is None  # and looking goes on
        aside.rename(file)
        await journal.probe(2000.0)
        assert journal.fault == ""
        assert await journal.accept(replace(RECORD, id="2"), durable=True) is None


async def test_what_cannot_be_written_does_not_take_others_with_it(journal: Journal) -> None:
    bad = replace(RECORD, id="bad", line="\ud800")
    results = await asyncio.gather(
        journal.accept(bad, durable=False), journal.accept(RECORD, durable=False), return_exceptions=True
    )
    assert isinstance(results[0], Failed)
    assert results[1] is None
    assert await journal.find(RECORD.asker, RECORD.id) == RECORD
    assert journal.fault == ""


async def test_who_stops_waiting_disturbs_nobody(journal: Journal) -> None:
    gone = asyncio.create_task(journal.accept(RECORD, durable=False))
    stays = asyncio.create_task(journal.accept(replace(RECORD, id="2"), durable=False))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays is None


async def test_a_file_that_is_opened_again_knows_everything(tmp_path: Path) -> None:
    work = Maintenance("site", 5000.0, "new disks", "alice@example.org")
    async with Journal.open(tmp_path / "j") as journal:
        await journal.accept(RECORD, durable=False)
        await journal.accept(replace(RECORD, id="2"), durable=True)
        await journal.end(ended(RECORD), AUDIT)
        await journal.begin_maintenance(work)
    async with Journal.open(tmp_path / "j") as journal:
        assert await journal.find(RECORD.asker, RECORD.id) == ended(RECORD)
        assert await journal.interrupted() == [replace(RECORD, id="2")]
        assert await journal.recent(10) == [AUDIT]
        assert await journal.maintenances() == [work]
        await journal.end_maintenance("site")
        assert await journal.maintenances() == []


async def test_closing_writes_what_still_waits_and_takes_nothing_more(tmp_path: Path) -> None:
    async with Journal.open(tmp_path / "j") as journal:
        waiting = [asyncio.create_task(journal.accept(replace(RECORD, id=str(n)), durable=False)) for n in range(9)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*waiting) == [None] * 9
    with pytest.raises(Failed, match="the site's journal is closed: the program is stopping"):
        await journal.accept(RECORD, durable=False)
    async with Journal.open(tmp_path / "j") as journal:
        assert len(await journal.interrupted()) == 9


async def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    loose = tmp_path / "loose"
    loose.touch(0o644)
    for path in (tmp_path / "new", loose):
        async with Journal.open(path) as journal:
            await journal.accept(RECORD, durable=True)
            for file in tmp_path.glob(f"{path.name}*"):
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


@pytest.mark.parametrize("content", [b"this is no database, and long enough to be looked at" * 20])
async def test_a_file_that_is_no_database_says_so_and_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(Failed, match="cannot be opened: file is not a database; mend it, or move it away"):
        async with Journal.open(tmp_path / "j"):
            raise AssertionError("it was opened")


async def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"cannot be opened: .*No such file"):
        async with Journal.open(tmp_path / "nowhere" / "j"):
            raise AssertionError("it was opened")


async def test_a_file_that_another_program_holds_is_waited_for_and_then_told(tmp_path: Path) -> None:
    async with Journal.open(tmp_path / "j") as journal:
        await journal._writer.do(lambda db: db.execute("PRAGMA busy_timeout = 10").close())
        other = sqlite3.connect(tmp_path / "j", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Failed, match="database is locked"):
            await journal.accept(RECORD, durable=True)
        other.close()
        assert await journal.accept(RECORD, durable=True) is None


async def test_old_calls_are_forgotten_but_never_one_that_has_not_ended(journal: Journal) -> None:
    await journal.accept(replace(RECORD, id="open"), durable=False)
    for ident, accepted in (("old", 1000.0), ("new", 3000.0)):
        await journal.end(ended(replace(RECORD, id=ident, accepted=accepted)), AUDIT)
    await journal.forget(2000.0, now=4000.0)
    found = [await journal.find(RECORD.asker, ident) for ident in ("open", "old", "new")]
    assert [record is not None for record in found] == [True, False, True]


@pytest.mark.parametrize(("accepted", "told"), [(1000.0, 3000.0), (3000.0, 1000.0)])
async def test_a_call_is_old_only_when_both_its_beginning_and_its_end_are(
    journal: Journal, accepted: float, told: float
) -> None:
    await journal.end(replace(RECORD, accepted=accepted, state="done", outcome="{}", ended=told), AUDIT)
    await journal.forget(2000.0, now=4000.0)
    assert await journal.find(RECORD.asker, RECORD.id) is not None
    await journal.forget(3001.0, now=4000.0)
    assert await journal.find(RECORD.asker, RECORD.id) is None


async def test_the_audit_keeps_its_last_lines(journal: Journal) -> None:
    for n in range(20):
        await journal.audit(replace(AUDIT, id=str(n)))
    await journal.forget(0.0, lines=5, now=4000.0)
    assert [record.id for record in await journal.recent(100)] == ["", "19", "18", "17", "16", "15"]
    await journal.audit(AUDIT)
    assert (await journal.recent(1))[0] == AUDIT
