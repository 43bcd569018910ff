"""Following the log of a service: a file through everything that happens to files, and a unit's through journalctl."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import psutil
import pytest

from amon.clock import SystemClock
from amon.errors import Failed
from amon.testing import FakeClock, Stage
from modules.service import Service, tail
from modules.service.systemctl import Programs, Systemctl
from tests.modules.service.conftest import Opened
from tests.modules.service.conftest import Programs as Program

Until = Callable[[Callable[[], Any]], Any]


async def read(lines: AsyncGenerator[Any, None], count: int) -> list[Any]:
    async with asyncio.timeout(20):
        return [await anext(lines) for _ in range(count)]


def write(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "some.log"
    path.write_text("".join(f"line {number}\n" for number in range(30)))
    return path


@pytest.fixture
async def followed(log: Path) -> AsyncIterator[AsyncGenerator[str, None]]:
    async with aclosing(tail.follow(log, 2, SystemClock())) as lines:
        assert await read(lines, 2) == ["line 28", "line 29"]
        yield lines


async def test_what_is_added_comes_when_its_line_is_whole(log: Path, followed: AsyncGenerator[str, None]) -> None:
    write(log, "one\nhalf")
    assert await read(followed, 1) == ["one"]
    write(log, " a line\ntwo\n")
    assert await read(followed, 2) == ["half a line", "two"]


async def test_it_survives_rotation(log: Path, followed: AsyncGenerator[str, None]) -> None:
    write(log, "last\n")
    log.rename(log.with_name("some.log.1"))
    log.write_text("first\n")
    assert await read(followed, 3) == ["last", "-- some.log is a new file --", "first"]


async def test_and_what_is_still_written_to_the_old_file_until_there_is_a_new_one(
    log: Path, followed: AsyncGenerator[str, None]
) -> None:
    old = log.with_name("some.log.1")
    log.rename(old)
    write(old, "late\n")
    assert await read(followed, 1) == ["late"]
    log.write_text("first\n")
    assert await read(followed, 2) == ["-- some.log is a new file --", "first"]


async def test_it_survives_truncation(log: Path, followed: AsyncGenerator[str, None]) -> None:
    os.truncate(log, 0)
    assert await read(followed, 1) == ["-- some.log was cut --"]
    write(log, "new\n")
    assert await read(followed, 1) == ["new"]


async def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    path, clock = tmp_path / "later.log", FakeClock()
    async with aclosing(tail.follow(path, 10, clock)) as lines:
        first = asyncio.ensure_future(anext(lines))
        await clock.wait_sleepers(1)
        path.write_text("there\n")
        clock.advance(1)
        async with asyncio.timeout(20):
            assert await first == "-- later.log is there --"
        assert await read(lines, 1) == ["there"]


async def test_what_cannot_be_followed_says_so(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, why in ((pipe, "is no file that can be followed"), (pipe / "x", "not a directory")):
        async with aclosing(tail.follow(path, 10, SystemClock())) as lines:
            with pytest.raises(Failed, match=why):
                await anext(lines)


async def test_a_line_without_end_is_broken_and_signs_for_terminals_are_taken_out(log: Path) -> None:
    async with aclosing(tail.follow(log, 1, SystemClock())) as lines:
        await anext(lines)
        write(log, "\x1b[31mred\x1b[0m\n" + "x" * 100_000)
        assert await read(lines, 1) == ["red"]
        (long,) = await read(lines, 1)
        assert len(long) == 16 * 1024


async def test_only_the_end_of_a_huge_file_is_read(log: Path) -> None:
    with log.open("wb") as file:
        file.truncate(10**10)  # a hole: it takes no room
        file.seek(10**10)
        file.write(b"\none\ntwo\n")
    async with aclosing(tail.follow(log, 5, SystemClock())) as lines:
        found = await read(lines, 2)
    assert found == ["one", "two"]


async def test_nothing_is_left_open(log: Path) -> None:
    def open_here() -> list[str]:
        return [file.path for file in psutil.Process().open_files() if file.path == str(log)]

    async with aclosing(tail.follow(log, 1, SystemClock())) as lines:
        await anext(lines)
        assert open_here() == [str(log)]
    assert open_here() == []


# The unit's log


def entry(message: object, at: float = 1.5) -> str:
    return json.dumps({"MESSAGE": message, "__REALTIME_TIMESTAMP": str(int(at * 1e6)), "__CURSOR": "x"})


def journalctl(program: Program, *entries: str, then: str = "time.sleep(600)") -> Systemctl:
    """A program that says these, and then does something else."""
    note = "open(here + '/argv', 'w').write(repr(sys.argv))"
    said = f"for line in {list(entries)!r}:\n    print(line, flush=True)"
    argv = program(f"{note}\n{said}\n{then}", f"journalctl{len(entries[0])}")
    return Systemctl(Programs(journalctl=argv), "", "system")


async def test_entries_come_as_lines_with_their_time(program: Program, tmp_path: Path) -> None:
    told = journalctl(program, entry("ready"), entry(list(b"caf\xc3\xa9")), entry("two\nlines"), entry(None))
    async with aclosing(told.follow("web.service", 7)) as lines:
        assert await read(lines, 5) == [
            "00:00:01Z ready",
            "00:00:01Z café",
            "00:00:01Z two",
            "00:00:01Z lines",
            "00:00:01Z (an entry too large to be shown)",
        ]
    words = (tmp_path / "argv").read_text()
    for word in ("--follow", "--output=json", "--lines=7", "--unit=web.service"):
        assert f"'{word}'" in words


async def test_the_child_ends_with_the_session(program: Program, tmp_path: Path, until: Until) -> None:
    def children() -> list[psutil.Process]:
        return [one for one in psutil.Process().children() if any(str(tmp_path) in word for word in one.cmdline())]

    async with aclosing(journalctl(program, entry("ready")).follow("web.service", 1)) as lines:
        await anext(lines)
        assert len(children()) == 1
    assert await until(lambda: not children())


async def test_a_journal_that_is_closed_to_us_says_what_to_do(program: Program) -> None:
    hint = "Hint: You are currently not seeing messages from other users and the system."
    async with aclosing(journalctl(program, hint).follow("web.service", 1)) as lines:
        with pytest.raises(Failed, match="may not read the journal; next: usermod"):
            await anext(lines)


async def test_a_program_that_fails_or_ends_is_told_and_not_taken_for_silence(program: Program) -> None:
    for told, why in (
        (journalctl(program, "Failed to add match: no such unit"), "^journalctl: Failed to add match"),
        (journalctl(program, entry("one"), then="sys.exit(3)"), "journalctl ended by itself, exit status 3"),
        (Systemctl(Programs(journalctl=("/nowhere/journalctl",)), "", "system"), "cannot run /nowhere/journalctl"),
    ):
        async with aclosing(told.follow("web.service", 1)) as lines:
            with pytest.raises(Failed, match=why):
                await read(lines, 2)


# The command


async def test_a_service_is_followed_from_its_last_lines_on(services: Opened, program: Program, tmp_path: Path) -> None:
    argv = program("print('ready', flush=True)\nsys.stdout = open(here + '/never', 'w')\ntime.sleep(600)")
    async with services(ce=Service(driver="process", argv=argv, settle=0)) as site:
        log = tmp_path / "state/instances/service/ce/log"
        async with aclosing(site.follow("service follow ce lines=5")) as lines:
            first = await turned(site, lines)
            assert "ready" in (first, first == "-- log is there --" and await turned(site, lines))
            write(log, "more\n")
            assert await turned(site, lines) == "more"
        assert site.node.dispatch.sessions.all() == []


async def turned(site: Stage, lines: AsyncGenerator[Any, None]) -> Any:
    """The next line, while the stage's clock goes on."""
    waiting = asyncio.ensure_future(anext(lines))
    async with asyncio.timeout(20):
        while not waiting.done():
            site.clock.advance(0.5)  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)
    return waiting.result()


async def test_a_service_that_is_not_there_is_not_followed(services: Opened, program: Program) -> None:
    async with services(ce=Service(driver="process", argv=program("time.sleep(600)"), settle=0)) as site:
        with pytest.raises(Failed, match=r"refused: no service named 'cf'; known: ce$"):
            await anext(site.follow("service follow cf"))


async def test_who_may_only_look_does_not_read_logs(services: Opened, program: Program) -> None:
    async with services(ce=Service(driver="process", argv=program("time.sleep(600)"), settle=0)) as site:
        with pytest.raises(Failed, match="operator"):
            await anext(site.follow("service follow ce", by="eve@watchers.example.org"))
