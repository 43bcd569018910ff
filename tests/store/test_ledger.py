"""The console's book on a real file: what is begun is there after a crash, what sites said stays, nothing grows."""

import asyncio
import contextlib
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from amon.errors import Failed, Refused
from amon.store import ledger as module
from amon.store.ledger import KEPT, KeptJob, KeptRow, Ledger
from amon.store.look import job_in, known_ids

ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
JOB = KeptJob(ID, "alice@example.org", "uptime", "all", ("cern", "fnal"), 1000.0, 30.0, 5.0)
DONE = KeptRow(ID, "cern", "done", "up", '{"kind":"ended"}', True, False, 1001.0, True, "signed", ("ONE", "TWO"))


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    async with Ledger.open(tmp_path / "room" / "jobs.db") as opened:
        yield opened


def another(place: int, **changes: object) -> KeptJob:
    ident = f"01ARZ3NDEKTSV4RRFFQ69{place:05d}"
    return replace(JOB, id=ident, created=1000.0 + place, **changes)  # type: ignore[arg-type]


async def test_a_job_that_was_begun_is_there_with_a_row_for_each_site(ledger: Ledger) -> None:
    await ledger.begin(JOB)
    assert await ledger.find(ID) == JOB
    assert [(row.site, row.state, row.asked) for row in await ledger.rows(ID)] == [
        ("cern", "pending", False),
        ("fnal", "pending", False),
    ]


async def test_what_was_noted_is_read_again_whole_and_the_same_job_again_changes_nothing(ledger: Ledger) -> None:
    queued = replace(JOB, dry_run=True, confirmed=True, plan='{"batch":2}', queue_until=9000.0, detached=True)
    await ledger.begin(queued)
    await ledger.note([DONE])
    await ledger.begin(replace(queued, line="another"))
    assert await ledger.find(ID) == queued
    assert (await ledger.rows(ID))[0] == DONE
    assert await ledger.counts([ID]) == {ID: {"done": 1, "pending": 1}}


async def test_what_was_sent_stays_against_a_console_that_has_not_sent_it(ledger: Ledger) -> None:
    await ledger.begin(JOB)
    await ledger.note([KeptRow(ID, "cern", "accepted", asked=True, bodies=("ONE",))])
    await ledger.note([KeptRow(ID, "cern", "lost", asked=True)])
    await ledger.note([KeptRow(ID, "fnal", "lost", asked=True)])
    assert [(row.state, row.bodies) for row in await ledger.rows(ID)] == [("lost", ("ONE",)), ("lost", ())]


async def test_a_book_of_an_earlier_version_is_read_as_it_is_and_opened(tmp_path: Path) -> None:
    path = tmp_path / "room" / "jobs.db"
    async with Ledger.open(path) as ledger:
        await ledger.begin(JOB)
        await ledger.note([DONE])
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.execute("ALTER TABLE rows DROP COLUMN bodies")
        old.commit()
    without = replace(DONE, bodies=())
    assert job_in(path, ID)[1][0] == without
    async with Ledger.open(path) as ledger:
        assert (await ledger.rows(ID))[0] == without
        await ledger.note([DONE])
        assert (await ledger.rows(ID))[0] == DONE


async def test_the_book_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "room" / "jobs.db"
    async with Ledger.open(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_job_is_found_by_the_end_of_its_id_and_an_end_of_several_names_them(ledger: Ledger) -> None:
    await ledger.begin(another(11))
    await ledger.begin(another(21))
    assert (await ledger.find("0021")).id == another(21).id
    assert (await ledger.find(another(11).id.lower())).id == another(11).id
    with pytest.raises(Refused, match=f"1 stands for several jobs: {another(21).id}, {another(11).id}; next"):
        await ledger.find("1")


@pytest.mark.parametrize("word", ["7Q2K", "", "%", "_", "!!", "x" * 100])
async def test_an_end_that_no_id_has_is_refused_with_the_next_step(ledger: Ledger, word: str) -> None:
    await ledger.begin(JOB)
    with pytest.raises(Refused, match="next: amon jobs"):
        await ledger.find(word)


async def test_what_a_site_said_stays_against_what_another_console_concluded(ledger: Ledger) -> None:
    await ledger.begin(JOB)
    await ledger.note([DONE])
    await ledger.note([KeptRow(ID, "cern", "silent", "did not accept", changed=1006.0)])
    assert (await ledger.rows(ID))[0] == DONE
    await ledger.note([replace(DONE, site="fnal", state="running", outcome=None)])
    await ledger.note([KeptRow(ID, "fnal", "lost", "went offline", changed=1007.0)])
    assert (await ledger.rows(ID))[1].state == "lost"


async def test_rows_of_a_job_that_is_forgotten_are_not_kept(ledger: Ledger) -> None:
    await ledger.note([DONE])
    assert await ledger.rows(ID) == []


async def test_what_is_queued_is_told_until_it_has_ended(ledger: Ledger) -> None:
    await ledger.begin(JOB)
    await ledger.begin(another(1, queue_until=5000.0))
    assert [job.id for job in await ledger.queued()] == [another(1).id]
    await ledger.end(another(1).id, 1500.0)
    assert await ledger.queued() == []
    assert (await ledger.find(another(1).id)).ended == 1500.0


async def test_the_newest_come_first(ledger: Ledger) -> None:
    for place in (3, 1, 2):
        await ledger.begin(another(place))
    assert [job.id for job in await ledger.recent(2)] == [another(3).id, another(2).id]
    assert await ledger.ids() == [another(3).id, another(2).id, another(1).id]


async def test_a_new_job_pushes_out_what_is_too_old_but_nothing_that_is_still_queued(ledger: Ledger) -> None:
    await ledger.begin(another(1))
    await ledger.begin(another(2, queue_until=1e12))
    await ledger.begin(replace(another(3), created=1003.0 + KEPT))
    assert await ledger.ids() == [another(3).id, another(2).id]
    assert await ledger.rows(another(1).id) == []


async def test_no_more_than_so_many_jobs_are_kept(ledger: Ledger) -> None:
    for place in range(module.MOST_JOBS + 3):
        await ledger.begin(replace(another(place), names=()))
    assert len(await ledger.ids()) == module.MOST_JOBS


async def test_no_more_than_so_many_bytes_are_kept(ledger: Ledger) -> None:
    await ledger.begin(JOB)
    await ledger.note([DONE])
    assert ledger._writer is not None
    await ledger._writer.do(lambda db: db.execute("UPDATE jobs SET bytes = ?", [module.MOST_BYTES + 1]).close())
    await ledger.begin(another(1))
    assert await ledger.ids() == [another(1).id]


async def test_a_long_word_of_a_site_is_cut_beside_its_outcome(ledger: Ledger) -> None:
    await ledger.begin(JOB)
    await ledger.note([replace(DONE, text="x" * 100_000)])
    assert len((await ledger.rows(ID))[0].text) == 2_000


async def test_a_full_disk_is_said_once_and_stops_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    async with Ledger.open(tmp_path / "jobs.db", said.append) as full:
        assert full._writer is not None
        await full._writer.do(lambda db: db.execute("PRAGMA max_page_count = 1").close())
        for place in range(20):
            await full.begin(another(place, line="x" * 8000))
            await full.note([replace(DONE, job=another(place).id)])
            await full.end(another(place).id, 2000.0)
    assert len(said) == 1
    assert said[0].startswith("the book of jobs cannot be written: database or disk is full; look at its disk; jobs go")


@pytest.mark.parametrize("fault", ["no database", "a file in the way", "not ours"])
async def test_a_book_that_cannot_be_opened_is_said_once_and_keeps_nothing(tmp_path: Path, fault: str) -> None:
    path, said = tmp_path / "room" / "jobs.db", list[str]()
    if fault == "no database":
        path.parent.mkdir()
        path.write_bytes(b"not a database, but some other file" * 100)
    elif fault == "a file in the way":
        path.parent.write_text("")
    else:
        path.mkdir(parents=True)
    async with Ledger.open(path, said.append) as broken:
        await broken.begin(JOB)
        assert await broken.recent(10) == []
        with pytest.raises(Refused, match="no job is known here"):
            await broken.find(ID)
    assert len(said) == 1


async def test_two_consoles_write_into_one_book_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with Ledger.open(path) as one, Ledger.open(path) as other:
        await asyncio.gather(*((one, other)[place % 2].begin(another(place)) for place in range(40)))
        assert len(await one.ids()) == len(await other.ids()) == 40


def test_a_job_is_on_the_disk_when_begin_returns_though_the_console_is_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, signal, sys; from amon.store.ledger import *\n"
        "async def main():\n"
        "    async with Ledger.open(sys.argv[1]) as ledger:\n"
        f"        await ledger.begin(KeptJob({ID!r}, 'a@b', 'uptime', 'all', ('cern',), 1.0, 30.0, 5.0))\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())"
    )
    path = tmp_path / "jobs.db"
    done = subprocess.run([sys.executable, "-c", program, str(path)], timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL
    assert known_ids(path) == [ID]


def test_completion_reads_no_ids_from_a_book_that_is_not_there_or_broken(tmp_path: Path) -> None:
    assert known_ids(tmp_path / "none.db") == []
    (tmp_path / "broken.db").write_text("nothing of the kind" * 100)
    assert known_ids(tmp_path / "broken.db") == []


async def test_a_job_is_read_in_place_while_it_is_written(ledger: Ledger, tmp_path: Path) -> None:
    await ledger.begin(JOB)
    await ledger.note([DONE])
    job, rows = job_in(tmp_path / "room" / "jobs.db", "5fav")
    assert (job, rows[0], len(rows)) == (JOB, DONE, 2)
    assert known_ids(tmp_path / "room" / "jobs.db") == [ID]


@pytest.mark.parametrize(
    ("word", "why"), [("7Q2K", "no job is known here whose id ends in 7Q2K"), ("!", "'!' is no id")]
)
def test_a_job_that_is_not_there_is_refused_when_read_in_place(tmp_path: Path, word: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        job_in(tmp_path / "none.db", word)


def test_a_broken_book_read_in_place_says_so(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_text("nothing of the kind" * 100)
    with pytest.raises(Failed, match="cannot be read: file is not a database; next"):
        job_in(tmp_path / "broken.db", "7Q2K")
