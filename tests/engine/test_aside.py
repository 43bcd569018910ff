"""Work aside is done in turn, and does not keep an engine from ending."""

import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from amon.engine.turn.aside import Aside

ENDING = """
from threading import Event
from amon.engine.turn.loop import Rules
from tests.engine.staged import LIMITS, Stage

class Endless(dict):
    def items(self):
        begun.set()
        Event().wait()

begun, stage = Event(), Stage(threaded=True)
stage.loop.reload(Rules(LIMITS, {}, Endless(a=1)))
begun.wait()
stage.loop.stop()
stage.loop.run()
print("ended")
"""


def test_work_is_done_in_turn_and_a_fault_is_told_to_who_asks() -> None:
    aside, go = Aside(), Event()
    done: list[int] = []
    first = aside.submit(go.wait)
    second = aside.submit(done.append, 2)
    third = aside.submit(lambda: 1 // 0)
    assert not done
    go.set()
    with pytest.raises(ZeroDivisionError):
        third.result(10)
    assert first.result(10)
    assert second.done()
    assert done == [2]
    aside.shutdown()


def test_what_was_not_begun_at_the_end_never_is() -> None:
    aside, begun, go = Aside(), Event(), Event()

    def run() -> None:
        begun.set()
        go.wait()

    running, waiting = aside.submit(run), aside.submit(go.wait)
    begun.wait(10)
    aside.shutdown(wait=False, cancel_futures=True)
    assert waiting.cancelled()
    assert not running.done()
    go.set()
    aside.shutdown()
    assert running.done()


def test_a_stop_does_not_wait_for_a_list_that_is_being_made_ready() -> None:
    """The thread's work never ends here; with a list of four million it would go on for seconds."""
    ended = subprocess.run(
        [sys.executable, "-c", ENDING], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=20
    )
    assert (ended.returncode, ended.stdout) == (0, "ended\n"), ended.stderr
