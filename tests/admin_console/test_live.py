"""The closed book on a terminal: colours are ours, words are theirs."""

import io

from rich.console import Console

from admin_console.live import LiveFace
from admin_console.picture import recorder, steady
from admin_console.tables import Grid
from admin_console.wish import Report, Wish
from amon.job import Book, ExitCode
from amon.runtime.gather import Job
from amon.target import parse
from amon.words import Answer, Column, Outcome, State

MARKUP = "[bold red]money[/] :smile: [link=http://example.org]here[/link]"


def shown(**answers: Answer) -> str:
    """What the terminal gets for these answers."""
    book = Book("job", answers, 0.0)
    for site, answer in answers.items():
        book.ended(Outcome(site, State.done, answer), 1.0)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="truecolor", width=120, highlight=False)
    report = Report(Wish(parse("all"), "status"), Job("job", "status", tuple(answers)), book, ExitCode.all_done)
    LiveFace(out, io.StringIO(), console).report(report)
    return out.getvalue()


def test_markup_of_a_site_is_shown_and_not_obeyed() -> None:
    table = (Column("[red]name"), Column("note"))
    rows = Answer("a\nb", [{"[red]name": MARKUP, "note": MARKUP}], table)
    for text in (shown(one=Answer(MARKUP)), shown(one=Answer(f"first\n{MARKUP}")), shown(one=rows)):
        assert "[bold red]money[/] :smile:" in text
        assert "\x1b]8" not in text  # a link


def test_a_terminal_is_not_commanded_by_a_site() -> None:
    text = shown(one=Answer("\x1b[2J\x07\x9bowned \u202e"), two=Answer("x\n\x1b]0;title\x07"))
    for control in ("\x1b[2J", "\x07", "\x9b", "\u202e", "\x1b]0"):
        assert control not in text


def test_states_and_healths_have_their_colours() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard", width=80, highlight=False)
    LiveFace(out, io.StringIO(), console).grid(Grid(("site", "state"), (("cern", "done"), ("fnal", "lost (late)"))))
    assert "\x1b[32mdone" in out.getvalue()
    assert "\x1b[1;31mlost (late)" in out.getvalue()


def test_a_long_line_is_not_broken_so_that_it_can_be_copied() -> None:
    out = io.StringIO()
    LiveFace(out, io.StringIO(), recorder(out)).line("amon --config " + "/long" * 40)
    assert out.getvalue().count("\n") == 1


def test_two_pictures_of_one_show_are_the_same() -> None:
    show = "since</text>\n<text>{}Z at 127.0.0.1:{} 0&#160;s&#160;ago<text>{}</text> {}&#160;MiB"
    one = show.format("10:01", 15001, 12345, "19.42")
    assert steady(one) == steady(show.format("23:59", 31999, 99999, "19.51"))
