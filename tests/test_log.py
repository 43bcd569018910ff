"""The log: what peers sent cannot look like a line of ours."""

import io
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from amon.fields import Secret
from amon.log import set_up


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_what_a_peer_sent_is_no_line_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    set_up()
    logging.getLogger("amon.test").warning("from %s: %s", "eve", "field `x\x1b[2J\n2026-01-01 ERROR all is lost`")
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("WARNING amon.test: from eve: field `x\ufffd[2J")
    assert second == "  2026-01-01 ERROR all is lost`"


def test_the_journal_hears_the_level_of_each_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    set_up()
    logging.getLogger("amon.test").error("one\ntwo")
    assert capsys.readouterr().err == "<3>amon.test: one\n<3>  two\n"


def test_what_is_less_than_wanted_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("warning")
    logging.getLogger("amon.test").info("nothing to see")
    assert capsys.readouterr().err == ""


HUSH = "correct <horse> 'battery'"


def test_a_living_secret_is_in_no_line_and_in_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    secret = Secret(HUSH)
    set_up()
    log = logging.getLogger("amon.test")
    log.info("plain %s, quoted %r, in a list %s, as itself %s", HUSH, HUSH, [HUSH], secret)
    try:
        try:
            raise ValueError(HUSH)
        except ValueError as error:
            raise RuntimeError(f"because of {error!r}") from error
    except RuntimeError:
        log.exception("bug with %s", HUSH, stack_info=True)
    said = capsys.readouterr().err
    assert "horse" not in said
    assert said.count("***") >= 6
    assert "Traceback" in said
    assert "raise ValueError(HUSH)" in said, "the rest of the traceback is there"


def test_a_traceback_is_no_line_of_its_own_and_commands_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    set_up()
    try:
        raise ValueError("x\x1b[2J\n2026-01-01 ERROR all is lost")
    except ValueError:
        logging.getLogger("amon.test").exception("bug")
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.endswith("ERROR   amon.test: bug")
    assert all(line.startswith("  ") for line in rest)
    assert "\x1b" not in "".join(rest)


def test_another_handlers_traceback_does_not_go_round_the_fence(capsys: pytest.CaptureFixture[str]) -> None:
    secret = Secret(HUSH)
    set_up()
    logging.getLogger().handlers.insert(0, logging.StreamHandler(io.StringIO()))
    try:
        raise ValueError(secret.reveal())
    except ValueError:
        logging.getLogger("amon.test").exception("bug")
    assert "horse" not in capsys.readouterr().err


UNCAUGHT = """
import asyncio, gc, sys, threading
from amon.fields import Secret
from amon.log import guard, set_up
set_up(); guard()
hush = Secret("correct <horse> 'battery'")
def fail(): raise ValueError(hush.reveal())
class Odd:
    def __del__(self): fail()
async def never_asked():
    async def lost(): fail()
    task = asyncio.create_task(lost(), name=hush.reveal())
    await asyncio.wait([task]); del task; gc.collect()
thread = threading.Thread(target=fail, name=hush.reveal()); thread.start(); thread.join()
odd = Odd(); del odd; gc.collect()
asyncio.run(never_asked())
fail()
"""


def test_what_nobody_catches_does_not_show_a_secret_either() -> None:
    done = subprocess.run([sys.executable, "-c", UNCAUGHT], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "horse" not in done.stderr
    assert done.stderr.count("ValueError: ***") == 4, "a thread, a finaliser, a task and the program itself"
