"""What sites say reaches people as words: no terminal, no shell and no line of ours is made of it."""

import io
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import click
import pytest
from rich.console import Console

from admin_console.cache import Memory
from admin_console.completion import targets
from admin_console.live import LiveFace
from admin_console.plain import PlainFace
from admin_console.program import Amon
from admin_console.report import JsonFace
from admin_console.settings import data_path
from admin_console.tables import Grid, book_layout
from admin_console.wish import Report, Wish
from amon.errors import Failed, Invalid, Refused
from amon.fields import Secret
from amon.job import Book, ExitCode
from amon.runtime.fleet import Site
from amon.runtime.gather import Job
from amon.target import parse
from amon.text import hidden
from amon.wire import HealthReport
from amon.words import Answer, Column, Outcome, State

EVIL = "\x1b[2J\x1b]8;;http://x.example\x07here\x1b]8;;\x07\x9b\u202e\u200b\u2066\ud800\x00\r\x7f[bold]{0.__class__}%s"
SITE = Site(
    EVIL, f"{EVIL}@agents.example.org", True, EVIL, EVIL, EVIL,
    HealthReport(EVIL, 1, ((EVIL, EVIL, EVIL),), 0, (EVIL,)), EVIL, EVIL, {EVIL: EVIL}, {EVIL: EVIL}, 1e300,
)  # fmt: skip


def book() -> Book:
    made = Book("job", [EVIL, "table", "lines"], 0.0)
    made.progress(EVIL, 0.5, EVIL, 0.5)
    made.ended(Outcome(EVIL, State.done, Answer(EVIL)), 1.0)
    column = Column(EVIL, EVIL, EVIL)
    made.ended(Outcome("table", State.done, Answer("a\nb", [{EVIL: EVIL}, {EVIL: 10**300}], (column,))), 1.0)
    made.ended(Outcome("lines", State.failed, Answer(f"{EVIL}\n{EVIL}")), 1.0)
    made.ended(Outcome(f"{EVIL}-stranger", State.done, Answer(EVIL)), 1.0)
    return made


def report() -> Report:
    return Report(Wish(parse("all"), "status"), Job("job", "status", ("table",)), book(), ExitCode.all_done)


def faces() -> list[tuple[PlainFace, io.StringIO]]:
    plain, live, told = io.StringIO(), io.StringIO(), io.StringIO()
    console = Console(file=live, force_terminal=True, color_system=None, width=400, highlight=False, markup=False)
    return [
        (PlainFace(plain, plain), plain), (LiveFace(live, live, console), live), (JsonFace(told, told), told)
    ]  # fmt: skip


@pytest.mark.parametrize("which", [0, 1, 2], ids=["plain", "live", "json"])
def test_nothing_that_a_site_chooses_reaches_a_terminal_as_it_is(which: int) -> None:
    face, out = faces()[which]
    face.report(report())
    face.fleet([SITE, replace(SITE, name="b", online=False), replace(SITE, name="c", hidden=True)], 2.0)
    face.grid(Grid((EVIL, "state", "text"), ((EVIL, EVIL, EVIL),)))
    face.line(EVIL)
    face.note(EVIL)
    shown = out.getvalue()
    assert "here" in shown
    assert [character for character in shown if hidden(character) and character != "\n"] == []
    assert "[bold]{0.__class__}%s" in shown, "neither markup nor a format string"


def test_a_table_that_would_take_minutes_to_draw_is_none() -> None:
    wide = tuple(Column(f"c{number}") for number in range(64))
    rows = [{f"c{number}": 1 for number in range(64)}, *({} for _ in range(1900))]
    made = Book("job", ["eve"], 0.0)
    made.ended(Outcome("eve", State.done, Answer("a\nb", rows, wide)), 1.0)
    (grid,) = book_layout(made).grids
    assert grid.heads == ("site", "state", "result")


@pytest.mark.parametrize("evil", ["$(touch pwned)", "`touch pwned`", "a;touch pwned", "a b", "a\ntouch pwned", "a'b",
                                  'a"b', "a|b", "a&b", "a>b", "~a", "!a", "a\\b", "*", "é", "-x\x1b[2J"])  # fmt: skip
def test_completion_proposes_nothing_that_means_something_to_a_shell(evil: str) -> None:
    memory = Memory(
        (evil, "cern"), {"mark": {"tag": (f"tier={evil}", "tier=1"), "module": (evil, "service"), "part": ()}}
    )
    found = [*targets("", memory), *targets("tag:", memory), *targets(evil[:1], memory)]
    assert "cern" in found
    assert "tag:tier=1" in found
    assert not any(evil in one for one in found)


def test_what_is_proposed_is_typed_into_a_shell_and_does_nothing(tmp_path: Path) -> None:
    memory = Memory((), {"mark": {"tag": ("a=$(touch pwned)", "b=`touch pwned`", "c=1;touch pwned")}})
    for word in targets("tag:", memory):
        subprocess.run(["bash", "-c", f"echo {word}"], cwd=tmp_path, check=True, capture_output=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("room", ["../../x@y", "..@y", "a/b@c", "/etc@x", ".@."])
def test_what_is_kept_of_a_room_stays_in_its_place(room: str) -> None:
    root = Path("/home/me/data/amon")
    assert data_path(room, {"XDG_DATA_HOME": "/home/me/data"}).parent == root
    assert data_path(room, {"XDG_DATA_HOME": "/home/me/data"}).resolve().parent == root


def test_json_is_one_document_whatever_sites_say() -> None:
    face, out = faces()[2]
    face.report(report())
    document = json.loads(out.getvalue())
    assert document["sites"][0]["site"] in (EVIL, "lines", "table")
    assert out.getvalue().isascii()


@pytest.mark.parametrize("kind", [Failed, Refused, Invalid, ValueError])
def test_no_trouble_of_the_console_quotes_a_secret(kind: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    secret = Secret("planted-secret")

    @click.command(cls=Amon, params=[click.Option(["--debug"], is_flag=True)], invoke_without_command=True)
    def amon(debug: bool) -> None:
        raise kind(f"no way in with {secret.reveal()}")

    with pytest.raises(SystemExit):
        amon(["--debug"])
    said = capsys.readouterr().err
    assert "no way in with ***" in said
    assert "planted" not in said
