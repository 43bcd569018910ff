"""Sessions that draw: in place on a terminal, as lines now and then elsewhere."""

import io

from rich.console import Console

from admin_console.drawing import Drawing
from admin_console.paced import EVERY, Pictures
from amon.wire import Output

ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"


def output(text: str, seq: int = 1) -> Output:
    return Output(ID, seq, ({"hops": 1},), text, replaces=True)


def terminal(height: int = 24) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=60, height=height, highlight=False, markup=False)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_each_picture_is_drawn_over_the_last_one() -> None:
    console = terminal()
    drawing = Drawing(console, several=False)
    drawing.draw("cern", output("hop 1\nhop 2"))
    drawing.draw("cern", output("hop 1\nhop 2\nhop 3"))
    drawing.close()
    text = written(console)
    between = text[text.index("hop 2") : text.index("hop 3")]
    assert "\r\x1b[2K\x1b[1A\x1b[2K" in between  # up again, over what was there
    assert "\x1b[?25h" in text  # the cursor is back


def test_several_sites_are_drawn_below_each_other_with_their_names() -> None:
    console = terminal()
    drawing = Drawing(console, several=True)
    drawing.draw("nikhef", output("hop 1 a"))
    drawing.draw("cern", output("hop 1 b"))
    drawing.close()
    last = written(console).rpartition("\x1b[2K")[2]
    assert last.index("cern") < last.index("hop 1 b") < last.index("nikhef") < last.index("hop 1 a")


def test_a_picture_larger_than_the_terminal_is_cut_and_cannot_scroll_it() -> None:
    console = terminal(height=10)
    drawing = Drawing(console, several=False)
    for turn in range(5):
        drawing.draw("cern", output("\n".join(f"hop {n} {turn}" for n in range(100))))
    drawing.close()
    assert "hop 99" not in written(console)
    assert "hop 7 4" in written(console)


def test_a_terminal_is_not_commanded_by_what_is_drawn() -> None:
    console = terminal()
    drawing = Drawing(console, several=True)
    drawing.draw("cern\x1b[2J", output("[red]x[/]\x1b]0;title\x07"))
    drawing.close()
    for control in ("\x1b[2J", "\x1b]0", "\x07"):
        assert control not in written(console)
    assert "[red]x[/]" in written(console)


def test_where_nothing_can_be_drawn_a_picture_is_said_now_and_then_and_the_last_at_the_end() -> None:
    now = 100.0
    pictures = Pictures(lambda: now)
    assert pictures.take("cern", output("first")) == ["first"]
    now += EVERY / 2
    assert pictures.take("cern", output("second")) == []
    assert pictures.take("desy", output("other")) == ["other"]
    now += EVERY / 2
    assert pictures.take("cern", output("third")) == ["third"]
    assert pictures.take("cern", output("last")) == []
    assert list(pictures.rest()) == [("cern", ["last"])]
    assert list(pictures.rest()) == []
