"""The same results on a wide terminal, on one of 80 columns, and on a phone."""

import io

import pytest
from rich.console import Console

from admin_console.live import LiveFace
from admin_console.narrow import fits, records, without_side
from admin_console.tables import Grid
from admin_console.wish import Report, Wish
from amon.job import Book, ExitCode
from amon.runtime.fleet import Site
from amon.runtime.gather import Job
from amon.target import parse
from amon.wire import HealthReport
from amon.words import Answer, Column, Outcome, State

STATUS = "CRIT 1/3 store failed: exit status 3 since 14:02Z"
FLEET = Grid(
    ("site", "health", "status", "agent", "modules", "tags", "changed"),
    (("desy", "crit", STATUS, "0.1.0", "service, uptime", "tier=1", "3 s ago"),),
)
SERVICES = tuple(map(Column, ("name", "state", "driver", "check")))


def face(width: int) -> tuple[LiveFace, io.StringIO]:
    out = io.StringIO()
    return LiveFace(out, io.StringIO(), Console(file=out, width=width, highlight=False, markup=False)), out


def fleet(width: int) -> list[str]:
    """What the terminal shows of two sites."""
    health = HealthReport("crit", 2, modules=("service", "uptime"))
    desy = Site("desy", "", online=True, health=health, status=STATUS, agent="0.1.0", tags={"tier": "1"}, changed=1.0)
    to, out = face(width)
    to.fleet([desy, Site("kek", "", hidden=True)], 4.0)
    return [line.strip() for line in out.getvalue().splitlines() if line.strip()]


def report(width: int, **answers: Answer) -> list[str]:
    book = Book("job", answers, 0.0)
    for site, answer in answers.items():
        book.ended(Outcome(site, State.done, answer), 1.0)
    to, out = face(width)
    to.report(Report(Wish(parse("all"), "status"), Job("job", "status", tuple(answers)), book, ExitCode.all_done))
    return [line.rstrip() for line in out.getvalue().splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("width", "last"), [(140, "changed"), (100, "modules"), (80, "agent"), (72, "status"), (60, "status")]
)
def test_side_columns_go_as_it_gets_narrower_and_the_status_stays_whole(width: int, last: str) -> None:
    assert without_side(FLEET, width).heads[-1] == last
    if width >= 72:
        assert any(STATUS in line for line in fleet(width))


def test_short_statuses_leave_room_for_all_columns() -> None:
    healthy = Grid(FLEET.heads, (("desy", "ok", "OK 3/3", *FLEET.rows[0][3:]),))
    assert without_side(healthy, 80) == healthy


def test_on_a_phone_a_site_is_a_line_and_nothing_is_wider_than_the_screen() -> None:
    lines = fleet(40)
    assert lines == [
        "desy: crit: CRIT 1/3 store failed: exit", "status 3 since 14:02Z",
        "kek: hidden: not in this site's policy;", "ask its owner",
    ]  # fmt: skip


def test_results_that_do_not_fit_become_lines_and_none_is_left_out() -> None:
    row = {"name": "store", "state": "up", "driver": "process", "check": "tcp 127.0.0.1:15432 connects"}
    answer = Answer("text\nof it", [row, {"name": "web", "state": "down"}], SERVICES)
    assert report(80, desy=answer)[0].split() == ["site", "name", "state", "driver", "check"]
    assert report(40, desy=answer) == [
        "desy:",
        "  store: state up, driver process, check",
        "  tcp 127.0.0.1:15432 connects",
        "  web: state down",
        "1 site: 1 done",
    ]
    assert report(40, desy=Answer("up 3 d"))[0] == "desy: done: up 3 d"


def test_lines_stand_once_under_each_site() -> None:
    grid = Grid(("site", "name", "size"), (("cern", "/", "1 GiB"), ("fnal", "/", ""), ("cern", "/data", "2 TiB")))
    assert records(grid) == (("cern", "/: size 1 GiB\n/data: size 2 TiB"), ("fnal", "/"))
    assert fits(grid, 60)
    assert not fits(grid, 59)
    assert not fits(Grid(tuple("abcdef"), (("x" * 30,) * 6,)), 80)
