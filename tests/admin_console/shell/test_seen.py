"""What sessions say at a prompt: prefixed, bounded, and never a command for the terminal."""

import io

from admin_console.plain import PlainFace
from admin_console.program import Output
from admin_console.shell.seen import Shown
from admin_console.shell.work import Doing, Work
from amon.text import hidden
from amon.wire import Output as Told
from tests.admin_console.test_hostile_words import EVIL


class Front:
    """One face for all lines."""

    can_ask = True

    def __init__(self) -> None:
        self.shown = PlainFace(io.StringIO(), io.StringIO())

    async def ask(self, question: str) -> str:
        return question

    def face(self, output: Output) -> PlainFace:
        return self.shown

    def apart(self) -> None:
        raise AssertionError


def said(front: Front) -> str:
    out, notes = front.shown.out, front.shown.notes
    assert isinstance(out, io.StringIO)
    assert isinstance(notes, io.StringIO)
    return out.getvalue() + notes.getvalue()


def seen(front: Front, *doings: Doing) -> list[Shown]:
    work = Work()
    work.under_way.extend(doings)
    return [Shown(front, Output(), doing, work) for doing in doings]  # type: ignore[arg-type]


def told(text: str, missed: int = 0) -> Told:
    return Told("0" * 26, 1, (), text, missed=missed)


def test_each_line_has_its_site_and_among_several_sessions_its_id() -> None:
    front = Front()
    first, second = seen(front, Doing("follow", id="0" * 22 + "AAAA"), Doing("follow", id="0" * 22 + "BBBB"))
    first.output("cern", told("one\ntwo"))
    second.output("fnal", told("three", missed=7))
    assert said(front).splitlines() == [
        "cern: one", "cern: two", "BBBB fnal: three", "BBBB fnal: (7 left out: this end was too slow for them)"
    ]  # fmt: skip


def test_lines_that_travel_as_data_alone_are_shown_too() -> None:
    front = Front()
    (only,) = seen(front, Doing("follow", id="0" * 26))
    only.output("cern", Told("0" * 26, 1, ("one", "two")))
    assert said(front).splitlines() == ["cern: one", "cern: two"]


def test_what_a_session_says_is_bounded_and_commands_no_terminal() -> None:
    front = Front()
    (only,) = seen(front, Doing("follow", id="0" * 26))
    only.output(EVIL, told(f"{EVIL}\n{EVIL}"))
    only.output("cern", told("x" * 100_000))
    assert len(said(front)) < 20_000
    assert [character for character in said(front) if hidden(character) and character != "\n"] == []
