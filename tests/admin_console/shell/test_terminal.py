"""The shell at a terminal, with keys from a pipe and a screen that is only written down; servers and sites are real."""

import asyncio
import contextlib
import io
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from admin_console.api import Console
from admin_console.program import Output
from admin_console.shell.desk import Desk
from admin_console.shell.history import KeptHistory
from admin_console.shell.terminal import Terminal, TerminalFront
from tests.admin_console.ground import Ground
from tests.waiting import until

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]")


class Seat:
    """What somebody at this terminal types, and what he has seen."""

    def __init__(self, desk: Desk, terminal: Terminal, keys: PipeInput, screen: io.StringIO, history: Path) -> None:
        self.desk, self.history = desk, history
        self._terminal = terminal
        self._keys, self._screen = keys, screen
        self._from = 0

    def type(self, text: str) -> None:
        """Keys; what is looked for next must come after them."""
        self._from = len(self._screen.getvalue())
        self._keys.send_text(text)

    def line(self, text: str) -> None:
        self.type(f"{text}\r")

    @property
    def seen(self) -> str:
        return _ESCAPES.sub("", self._screen.getvalue()[self._from :])

    @property
    def typed(self) -> str:
        return self._terminal.typed

    @property
    def proposed(self) -> list[str]:
        return self._terminal.proposed

    @property
    def below(self) -> str:
        """The line below the prompt; it is drawn only where a terminal says how high it is."""
        return self._terminal.below()

    async def wait_for(self, text: str, within: float = 20.0) -> str:
        try:
            async with asyncio.timeout(within):
                while text not in self.seen:  # noqa: ASYNC110 a screen tells nobody that it was written
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{text!r} was not shown:\n{self.seen[-700:]}") from None
        return self.seen

    def kept(self) -> list[str]:
        return self.history.read_text().splitlines() if self.history.exists() else []


@asynccontextmanager
async def seated(ground: Ground, target: str = "all") -> AsyncIterator[Seat]:
    setup, screen = replace(ground.console(), ledger=ground.folder / "jobs.db"), io.StringIO()
    history = KeptHistory(ground.folder / "shell_history")
    output = Vt100_Output(screen, lambda: Size(40, 110), term="xterm", enable_cpr=False)
    with create_pipe_input() as keys, create_app_session(input=keys, output=output):
        async with Console(setup=setup) as console:
            front = TerminalFront()
            desk = Desk(console, setup, front, Output(color="never"), front.changed.set)
            desk.keep = history.keep
            desk.select(target)
            terminal = Terminal(desk, front, history, keys, output)
            living = asyncio.create_task(terminal.live())
            seat = Seat(desk, terminal, keys, screen, ground.folder / "shell_history")
            try:
                await seat.wait_for("] >")
                yield seat
                keys.send_text("\x03\x03\x04")
                async with asyncio.timeout(20):
                    assert await living == 0
            finally:
                living.cancel()
                await asyncio.wait((living,))
                await desk.close()


async def test_the_prompt_is_live_and_results_print_above_it(ground: Ground) -> None:
    agent = await ground.site("cern")
    async with seated(ground) as seat:
        await seat.wait_for("amon [all: 1 site, OK] >")
        seat.line("odd echo hello")
        await seat.wait_for("cern: done: hello")
        seat.line("target nosuch")
        await seat.wait_for("amon: no site named nosuch")
        seat.line("exit")
    assert agent.node.dispatch.under_way() == 0


async def proposed(seat: Seat, typed: str, wanted: Callable[[list[str]], bool]) -> list[str]:
    """What is proposed behind these words. Nobody waits long for it, so where it takes longer they are typed again."""
    async with asyncio.timeout(40):
        while True:
            seat.type(f"\x15{typed}")
            with contextlib.suppress(TimeoutError):
                await until(lambda: wanted(seat.proposed), 4)
                return seat.proposed


def is_typed(seat: Seat, line: str) -> bool:
    return seat.typed == line


def contains(word: str, found: list[str]) -> bool:
    return word in found


async def test_completion_is_that_of_the_live_fleet(ground: Ground) -> None:
    await ground.site("cern")
    async with seated(ground) as seat:
        for typed, word, line in (("odd ec", "echo", "odd echo"), ("target ce", "cern", "target cern")):
            await proposed(seat, typed, partial(contains, word))
            seat.type("\t")
            await until(partial(is_typed, seat, line))
        seat.line("\x15odd echo done")
        await seat.wait_for("1 site: 1 done")
        (job, *_) = await proposed(seat, "@job:", bool)
        await proposed(seat, f"{job} odd ec", lambda found: found == ["echo"])
        await proposed(seat, "odd keep --w", lambda found: found == ["--words"])
        await until(lambda: seat.below == "odd keep WORDS")


async def test_a_question_takes_the_place_of_what_is_being_typed_and_gives_it_back(ground: Ground) -> None:
    for name in ("cern", "fnal"):
        await ground.site(name)
    async with seated(ground) as seat:
        seat.line("odd keep treasure")
        seat.type("odd echo dra")
        await seat.wait_for("odd keep treasure on 2 sites: cern, fnal? [y/N]")
        seat.line("y")
        await seat.wait_for("2 sites: 2 done")
        seat.line("ft")
        await seat.wait_for("draft")
        seat.line("odd keep silver")
        await seat.wait_for("[y/N]")
        seat.line("y\rodd echo typed ahead")  # the next line comes with the answer
        await seat.wait_for("kept silver")
        await seat.wait_for("typed ahead\n")
        seat.line("odd keep gold")
        await seat.wait_for("[y/N]")
        seat.type("\x03")
        await seat.wait_for("2 not-started")
    assert "gold" not in "".join(path.read_text() for path in ground.folder.rglob("kept"))


async def test_control_c_ends_the_job_and_not_the_shell(ground: Ground) -> None:
    agent = await ground.site("cern")
    async with seated(ground) as seat:
        seat.line("odd hang")
        await until(lambda: agent.node.dispatch.under_way() > 0)
        await until(lambda: "odd hang: 0 of 1 site, " in seat.below)
        seat.line("odd echo afterwards")
        await until(lambda: seat.below.endswith("1 line waiting"))
        seat.type("\x03")
        await seat.wait_for("1 cancelled")
        await seat.wait_for("afterwards")
        seat.type("half a li\x03")
        seat.type("\x03")
        await seat.wait_for("exit leaves, or Ctrl-D")


async def test_sessions_stream_above_the_prompt_several_at_once_and_each_is_stopped(ground: Ground) -> None:
    for name in ("cern", "fnal"):
        await ground.site(name)
    async with seated(ground) as seat:
        seat.line("@cern odd follow apple")
        await seat.wait_for("cern: apple 3")
        seat.line("@fnal odd follow pear")
        await seat.wait_for("fnal: pear 2")
        first, second = (ident for ident, _ in seat.desk.ids())
        await seat.wait_for(f"{second} fnal: pear ")
        seat.type("odd echo ty")
        await seat.wait_for(f"{first} cern: apple ")
        seat.line("ped")
        await seat.wait_for("typed")
        seat.line("stop")
        await seat.wait_for(f"which one? {first} (@cern odd follow apple), {second}")
        seat.line(f"stop {first}")
        await seat.wait_for("stopped by you")
        await seat.wait_for("fnal: pear ")
        seat.line("stop all")
        await seat.wait_for("stopped by you")


async def test_what_may_be_secret_is_not_written_into_the_history(ground: Ground) -> None:
    await ground.site("cern")
    async with seated(ground) as seat:
        for line in (
            "odd unlock hunter2",
            "unlock hunter2",
            "odd unlok hunter2",
            "odd echo plain",
            "sites",
            "@cern odd unlock word=hunter2",
        ):
            seat.line(line)
            await until(lambda: not seat.desk.work.under_way and not seat.desk.work.waiting)
        await until(lambda: "sites" in seat.kept())
    assert seat.kept() == ["odd echo plain", "sites"]
    assert "hunter2" not in "".join(path.read_text(errors="replace") for path in ground.folder.glob("*.json"))


async def test_a_server_that_was_away_is_found_again(ground: Ground) -> None:
    await ground.site("cern")
    async with seated(ground) as seat:
        seat.type("odd echo again")
        ground.server.kill()
        await seat.wait_for("connection lost: ")
        await seat.wait_for("no connection] >")
        await ground.server.__aenter__()
        await seat.wait_for("connected again", 40)
        await until(lambda: all(site.online for site in seat.desk.sites(None)), 40)
        seat.type("\r")
        await seat.wait_for("again")
        await seat.wait_for("1 site: 1 done")


@pytest.mark.parametrize("keys", ["\x04", "exit\r", "quit\r"])
async def test_one_leaves_and_nothing_is_left(ground: Ground, keys: str) -> None:
    await ground.site("cern")
    async with seated(ground) as seat:
        seat.line("odd follow x")
        await seat.wait_for("cern: x 2")
        seat.type(keys)
