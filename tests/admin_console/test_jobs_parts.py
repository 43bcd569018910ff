"""Parts of jobs that need no server: how they are named, listed, held, and what a book says without its sites."""

import fcntl
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from admin_console.api import Console
from admin_console.jobs import courier
from admin_console.jobs.detach import check
from admin_console.jobs.earlier import is_known, is_plan_known, job_of, kept_report, once_more, plan_of, slots_of
from admin_console.jobs.listing import jobs_listing
from admin_console.jobs.naming import job_ids, job_words, known_here, meant, short_of, shorts
from admin_console.wish import Rolling, Wish
from amon.errors import Failed, Invalid, Refused
from amon.job import Plan
from amon.store.hold import hold, holder, is_held
from amon.store.ledger import KeptJob, KeptRow, Ledger
from amon.target import Facts, parse, select
from amon.wire import Ended, encode

ID, OTHER = "01ARZ3NDEKTSV4RRFFQ69G7Q2K", "01ARZ3NDEKTSV4RRFFQ69A7Q2K"
JOB = KeptJob(ID, "alice@example.org", "service restart httpd", "all", ("cern", "desy", "fnal"), 1000.0, 30.0, 5.0)
ROWS = (
    KeptRow(ID, "cern", "done", "up", encode(Ended(ID, "done", "up")), True, False, 1001.0, True, "signed"),
    KeptRow(ID, "desy", "failed", "no disk", encode(Ended(ID, "failed", "no disk")), True, True, 1001.0, True),
    KeptRow(ID, "fnal", "silent", "did not accept in 5 s", None, False, False, 1005.0, True),
)
PLAIN = Wish(parse("all"), "uptime")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[Ledger]:
    async with Ledger.open(path) as opened:
        await opened.begin(JOB)
        await opened.note(ROWS)
        yield opened


# Names


def test_a_job_is_called_by_the_shortest_end_that_no_other_has() -> None:
    assert shorts([ID, OTHER]) == {ID: "G7Q2K", OTHER: "A7Q2K"}
    assert shorts([ID]) == {ID: "7Q2K"}
    assert shorts([ID, ID]) == {ID: ID}
    assert shorts([]) == {}


async def test_the_short_id_is_one_among_those_in_the_book(ledger: Ledger, path: Path) -> None:
    assert short_of(ID, path) == "7Q2K"
    await ledger.begin(replace(JOB, id=OTHER))
    assert (short_of(ID, path), short_of(ID, None)) == ("G7Q2K", "7Q2K")


async def test_the_sites_of_a_job_are_read_from_the_book_by_their_state(ledger: Ledger, path: Path) -> None:
    sites = [Facts(name) for name in ("cern", "desy", "fnal", "gsi")]
    for text, names in (
        ("@job:7Q2K", ("cern", "desy", "fnal")),
        ("@job:7q2k:failed,silent", ("desy", "fnal")),
        ("not @job:7Q2K:done", ("desy", "fnal", "gsi")),
    ):
        assert select(meant(text, path), sites) == names


async def test_an_id_of_several_jobs_is_refused_with_all_of_them(ledger: Ledger, path: Path) -> None:
    await ledger.begin(replace(JOB, id=OTHER))
    with pytest.raises(Refused, match="7Q2K stands for several jobs: ") as refused:
        meant("cern, @job:7Q2K", path)
    assert ID in str(refused.value)
    assert OTHER in str(refused.value)


def test_without_a_book_no_job_is_a_target(path: Path) -> None:
    with pytest.raises(Refused, match="no job is known here"):
        meant("@job:7Q2K", path)
    with pytest.raises(Invalid, match="keeps no book of jobs"):
        meant("@job:7Q2K", None)
    assert str(meant("cern", None)) == "cern"


def test_completion_proposes_jobs_and_then_their_states() -> None:
    assert job_words("@", [ID]) == ["@job:7Q2K"]
    assert job_words("@job:7", [ID, OTHER]) == []  # their ends differ in the fifth letter
    assert job_words("@job:a", [ID, OTHER]) == ["@job:A7Q2K"]
    assert job_words("@job:7Q2K:f", [ID]) == ["@job:7Q2K:failed"]
    assert "@job:7Q2K:not-here" in job_words("@job:7Q2K:", [ID])
    assert job_words("tag:", [ID]) == []
    assert job_words("@x", [ID]) == []


async def test_ids_are_completed_from_the_books_of_all_rooms(tmp_path: Path) -> None:
    for room, ident in (("ops@rooms.example.org", ID), ("other@rooms.example.org", OTHER)):
        async with Ledger.open(tmp_path / "amon" / room / "jobs.db") as opened:
            await opened.begin(replace(JOB, id=ident))
    idents = known_here({"XDG_STATE_HOME": str(tmp_path)})
    assert job_ids("", idents) == ["G7Q2K", "A7Q2K"]
    assert job_ids("a", idents) == ["A7Q2K"]
    assert known_here({"XDG_STATE_HOME": str(tmp_path / "empty")}) == []


# The list


async def test_the_list_tells_what_is_open_and_who_delivers_what_is_queued(ledger: Ledger, path: Path) -> None:
    queued = replace(JOB, id=OTHER, created=2000.0, queue_until=90_000.0, detached=True, line="x" * 200)
    await ledger.begin(queued)
    listing = await jobs_listing(ledger, 10, courier=False)
    assert [row[0] for row in listing.grid.rows] == ["A7Q2K", "G7Q2K"]
    assert listing.grid.rows[1][1:] == (
        "1970-01-01 00:16:40Z", "service restart httpd", "all", "", "3 sites: 1 done, 1 failed, 1 silent"
    )  # fmt: skip
    assert (len(listing.grid.rows[0][2]), listing.records[0]["line"]) == (60, "x" * 200)
    assert (listing.records[0]["open"], listing.records[0]["queue_until"], listing.bad) == (3, 90_000.0, ["A7Q2K"])
    head = "A7Q2K: queued for 3 sites until 1970-01-02 01:00:00Z; "
    assert listing.lines == (f"{head}nobody delivers it; next: amon job A7Q2K --follow",)
    assert (await jobs_listing(ledger, 10, courier=True)).lines == (f"{head}the courier takes it up",)
    with ledger.holding(OTHER) as ours:
        assert ours
        assert (await jobs_listing(ledger, 10, courier=True)).lines == (f"{head}the courier delivers it",)
        assert (await jobs_listing(ledger, 10, courier=False)).lines == (f"{head}an amon of yours delivers it",)


async def test_a_site_that_was_still_at_it_when_the_time_was_up_is_open(ledger: Ledger) -> None:
    await ledger.begin(replace(JOB, id=OTHER, created=2000.0, names=("cern", "desy")))
    await ledger.note([KeptRow(OTHER, "cern", "running", reported=True), KeptRow(OTHER, "desy", "done", reported=True)])
    listing = await jobs_listing(ledger, 1, courier=False)
    assert (listing.records[0]["open"], listing.bad) == (1, ["A7Q2K"])


async def test_a_line_with_escapes_commands_no_terminal(ledger: Ledger) -> None:
    await ledger.begin(replace(JOB, id=OTHER, line="odd echo \x1b[2J\nfake", target="\x1b]0;x\x07"))
    listing = await jobs_listing(ledger, 10, courier=False)
    assert not any("\x1b" in cell or "\n" in cell for row in listing.grid.rows for cell in row)


# By the book


def test_a_table_by_the_book_has_what_each_site_said_and_how_far_it_is_trusted() -> None:
    report = kept_report(JOB, ROWS, 50.0, 5000.0)
    assert report.book.summary() == "3 sites: 1 done, 1 failed, 1 silent (1 late)"
    assert (int(report.exit), {site: str(word) for site, word in report.words.items()}) == (10, {"cern": "signed"})
    assert report.book["desy"].text == "no disk"
    assert (is_known(ROWS), is_known(ROWS[:2])) == (False, True)
    assert not is_known([replace(ROWS[0], state="running")])


def test_what_another_version_wrote_into_a_row_is_read_as_far_as_it_can_be() -> None:
    rows = [replace(ROWS[0], outcome='{"v":9}', word="by two keys"), *ROWS[1:]]
    report = kept_report(JOB, rows, 50.0, 5000.0)
    assert (report.book["cern"].state, report.book["cern"].text, dict(report.words)) == ("done", "up", {})
    assert plan_of(replace(JOB, plan='{"batch":2,"tides":1}')) == Plan()
    assert plan_of(replace(JOB, plan="not json")) == Plan()
    known = [is_plan_known(replace(JOB, plan=plan)) for plan in ('{"batch":2}', '{"batch":2,"tides":1}', "not json")]
    assert known == [True, False, False]


def test_of_a_time_for_the_whole_job_only_what_is_left_is_given_again() -> None:
    kept = replace(JOB, plan='{"batch":2,"within":60.0}')
    assert job_of(kept, 1020.0).plan == Plan(batch=2, within=40.0)
    assert job_of(kept, 9999.0).plan.within == 0.0


async def test_what_is_asked_once_more_goes_to_those_alone_and_at_the_same_pace(ledger: Ledger) -> None:
    wish = await once_more(ledger, "7Q2K", yes=True)
    sites = [Facts(name) for name in JOB.names]
    assert select(wish.target, sites) == ("desy", "fnal")
    assert (wish.line, wish.yes, wish.rolling) == (JOB.line, True, Rolling())
    paced = replace(JOB, id=OTHER, plan='{"batch":1,"canary":5,"max_failures":0,"splay":2.0}')
    await ledger.begin(paced)
    await ledger.note([replace(row, job=OTHER) for row in ROWS])
    wish = await once_more(ledger, OTHER)
    assert wish.rolling.plan(2, 0) == Plan(batch=1, canary=2, max_failures=0, splay=2.0)


async def test_what_is_asked_once_more_passes_the_same_slots(ledger: Ledger) -> None:
    slotted = replace(JOB, id=OTHER, plan='{"batch":1,"slots":["db",2]}')
    await ledger.begin(slotted)
    await ledger.note([replace(row, job=OTHER) for row in ROWS])
    assert (await once_more(ledger, OTHER)).rolling == Rolling(batch="1", slots=("db", 2))
    assert (plan_of(slotted), slots_of(slotted), slots_of(JOB)) == (Plan(batch=1), ("db", 2), None)
    assert [slots_of(replace(JOB, plan=plan)) for plan in ("[]", "not json", '{"slots":1}')] == [None] * 3


# Who holds what


def test_a_file_is_held_by_one_until_he_ends_however_he_ends(tmp_path: Path) -> None:
    path = tmp_path / "held"
    assert not is_held(path)
    program = (
        "import sys, time; from pathlib import Path; from amon.store.hold import hold\n"
        "with hold(Path(sys.argv[1])) as ours: print(ours, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        assert holder(path) == process.pid
        with hold(path) as ours:
            assert not ours
        assert holder(path) == process.pid
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not is_held(path)
    with hold(path) as ours:
        assert ours
        assert holder(path) == os.getpid()
    assert not path.exists()


def test_a_holder_who_has_not_said_who_he_is_holds_it_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "held"
    for text in ("", "-1", "0", "1", "no number"):
        path.write_text(text)
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            assert (is_held(path), holder(path)) == (True, None)


def test_a_file_that_was_taken_away_while_it_was_opened_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "held"
    with hold(path) as first:
        assert first
        path.unlink()  # as its holder does when he ends
        with hold(path) as second:
            assert second
            assert holder(path) == os.getpid()


def test_a_held_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "held").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="Too many levels"), hold(tmp_path / "held"):
        pass
    assert (tmp_path / "victim").read_text() == "precious"


async def test_a_look_at_the_lock_does_not_take_it(path: Path) -> None:
    assert not courier.is_running(path)
    with hold(courier.lock_of(path, "alice@example.org")):
        assert courier.is_running(path)
        descriptor = os.open(courier.lock_of(path, "alice@example.org"), os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.close(descriptor)


def test_a_courier_that_cannot_be_begun_is_said_and_a_long_log_is_begun_anew(path: Path) -> None:
    log = courier.log_of(path)
    log.write_bytes(b"x" * 1_000_001)
    with pytest.raises(Failed, match="no courier could be begun: No such file"):
        courier.start(path, ["/no/such/program"])
    assert log.stat().st_size == 0


# What is refused


async def test_a_job_that_cannot_be_taken_up_is_not_tried_each_second(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    broken = replace(JOB, id=OTHER)
    await ledger.begin(broken)
    connection = SimpleNamespace(account=JOB.asker)
    console = cast(Console, SimpleNamespace(ledger=ledger, session=SimpleNamespace(connection=connection)))
    for ident, said in (("01ARZ3NDEKTSV4RRFFQ69B7Q2K", "no job is known here"), (OTHER, "AttributeError")):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            await courier._one(console, ident, logging.getLogger("amon.courier"), sleep)
        assert said in caplog.text
    assert slept == [60.0, 60.0]


@pytest.mark.parametrize(
    ("rolling", "why"),
    [(Rolling(batch="2"), "--detach"), (Rolling(canary=1), "--detach"), (Rolling(splay=1.0), "--detach")],
)
def test_what_needs_somebody_to_begin_the_next_is_not_detached(rolling: Rolling, why: str) -> None:
    check(replace(PLAIN, rolling=rolling), 0.0, detach=False)
    with pytest.raises(Invalid, match=why):
        check(replace(PLAIN, rolling=rolling), 0.0, detach=True)


def test_a_queue_needs_a_yes_beforehand_and_ends_before_sites_forget() -> None:
    check(replace(PLAIN, yes=True, queue_until=6 * 86_400.0), 0.0, detach=True)
    check(replace(PLAIN, dry_run=True, queue_until=10.0), 0.0, detach=True)
    with pytest.raises(Invalid, match="say --yes at once"):
        check(replace(PLAIN, queue_until=10.0), 0.0, detach=True)
    with pytest.raises(Invalid, match="at most 6 days ahead"):
        check(replace(PLAIN, yes=True, queue_until=6 * 86_400.0 + 1), 0.0, detach=False)
