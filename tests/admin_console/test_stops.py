"""Ctrl-C: once tells the sites to stop, twice stops waiting for them; at a question it means no."""

import asyncio
import signal
import socket

import pytest

from admin_console.broadcast import Interrupts
from amon.job import ExitCode
from amon.wire import Accepted, NeedsWord, Payload, Request
from site_agent.agent import Agent
from tests.admin_console.ground import Ground, Person, noted, pipe, states
from tests.admin_console.programs import in_pipe, on_terminal
from tests.admin_console.screen import on_screen
from tests.waiting import until


async def busy(agent: Agent) -> None:
    """Until it is at work for somebody."""
    await until(agent.node.dispatch.under_way)


async def test_once_cancels_at_the_sites(ground: Ground) -> None:
    agent = await ground.site("cern")
    interrupts, face = Interrupts(), pipe()
    running = asyncio.create_task(ground.run("all", "odd hang", face=face, deadline=60, interrupts=interrupts))
    await busy(agent)
    interrupts.hit()
    async with asyncio.timeout(20):
        report = await running
    assert states(report) == {"cern": "cancelled"}
    assert report.exit == ExitCode.cancelled
    assert "Ctrl-C again to stop waiting" in noted(face)
    assert agent.node.dispatch.under_way() == 0


async def test_twice_does_not_wait_for_a_site_that_does_not_confirm(ground: Ground) -> None:
    asked = asyncio.Event()

    def accept(request: Request) -> list[Payload]:
        asked.set()
        return [Accepted(request.id)]

    await ground.false_site("deaf", accept)
    interrupts = Interrupts()
    running = asyncio.create_task(ground.run("all", "status", deadline=60, interrupts=interrupts))
    async with asyncio.timeout(20):
        await asked.wait()
    interrupts.hit()
    interrupts.hit()
    async with asyncio.timeout(1):  # less than the grace that is given to a site
        report = await running
    assert states(report) == {"deaf": "cancelled"}


async def test_at_the_question_it_means_no(ground: Ground) -> None:
    def plan(request: Request) -> list[Payload]:
        return [NeedsWord(request.id, "change", "plan")]

    for name in ("one", "two"):
        await ground.false_site(name, plan)
    interrupts, person = Interrupts(), Person(None)
    running = asyncio.create_task(ground.run("all", "odd keep x", face=person, interrupts=interrupts))
    async with asyncio.timeout(20):
        await person.asked.wait()
    interrupts.hit()
    async with asyncio.timeout(20):
        report = await running
    assert states(report) == {"one": "not-started", "two": "not-started"}
    assert report.exit == ExitCode.cancelled


async def test_a_server_that_goes_away_leaves_a_closed_book(ground: Ground) -> None:
    agent = await ground.site("cern")
    running = asyncio.create_task(ground.run("all", "odd hang", deadline=1.5))
    await busy(agent)
    ground.server.kill()
    async with asyncio.timeout(20):
        report = await running
    assert states(report)["cern"] in ("lost", "silent")
    assert report.exit == ExitCode.no_answer


async def test_the_real_signal_closes_the_book_and_says_so(ground: Ground) -> None:
    agent = await ground.site("cern")
    config = str(ground.console().config)
    async with in_pipe("--config", config, "run", "all", "odd", "hang", folder=ground.folder) as program:
        await busy(agent)
        program.process.send_signal(signal.SIGINT)
        assert await program.ended() == ExitCode.cancelled
    assert "cern: cancelled: cancelled" in program.text
    assert "1 site: 1 cancelled" in program.text
    assert "Traceback" not in program.text


async def test_before_anything_was_asked_it_just_ends(ground: Ground) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        config = str(ground.console(port=server.getsockname()[1]).config)
        async with in_pipe("--config", config, "run", "all", "status", folder=ground.folder) as program:
            async with asyncio.timeout(20):
                silent, _ = await asyncio.get_running_loop().sock_accept(server)
            with silent:
                program.process.send_signal(signal.SIGINT)
                assert await program.ended() == 130, program.text
    assert program.text == "stopped\n"


async def test_on_a_terminal_one_sees_it_live_and_ends_it_by_key(ground: Ground) -> None:
    await ground.site("cern")
    config = str(ground.console().config)
    async with on_terminal("--config", config, "run", "all", "odd", "hang", folder=ground.folder) as program:
        await program.wait_for("25% hanging")
        assert "0/1" in program.text
        program.type(b"\x03")
        assert await program.ended() == ExitCode.cancelled
        await program.wait_for("1 site: 1 cancelled")


async def test_a_picture_stands_there_once_and_whole_after_ctrl_c_and_the_report_below_it(ground: Ground) -> None:
    await ground.site("cern")
    config = str(ground.console().config)
    async with on_terminal("--config", config, "run", "all", "odd", "paint", folder=ground.folder) as program:
        await until(lambda: program.text.count("stroke 4") > 2)
        program.type(b"\x03")
        assert await program.ended() == ExitCode.all_done
        await program.wait_for("1 site: 1 done")
    lines = on_screen(program.text, 110)
    picture = [line for line in lines if "stroke" in line]
    number = picture[-1].split()[3]
    assert [line[:16] for line in picture] == [f"stroke {line} of {number}" for line in range(5)]
    first = lines.index(picture[0])
    assert lines[first - 1] == "telling the sites to stop; Ctrl-C again to stop waiting for them"
    assert lines[first : first + 5] == picture
    assert "^C" not in "".join(lines)


async def test_the_table_of_sites_leaves_nothing_behind_after_ctrl_c(ground: Ground) -> None:
    await ground.site("cern")
    config = str(ground.console().config)
    async with on_terminal("--config", config, "run", "all", "odd", "hang", folder=ground.folder) as program:
        await program.wait_for("25% hanging")
        program.type(b"\x03")
        assert await program.ended() == ExitCode.cancelled
        await program.wait_for("1 site: 1 cancelled")
    lines = on_screen(program.text, 110)
    assert lines[0] == "telling the sites to stop; Ctrl-C again to stop waiting for them"
    assert [line.split()[:2] for line in lines if "cern" in line] == [["cern", "cancelled"]]


@pytest.mark.parametrize(("answer", "code", "said"), [(b"y\n", 0, "2 done"), (b"n\n", 15, "2 not-started")])
async def test_on_a_terminal_one_is_asked_and_answers(ground: Ground, answer: bytes, code: int, said: str) -> None:
    for name in ("cern", "fnal"):
        await ground.site(name)
    config = str(ground.console().config)
    async with on_terminal("--config", config, "run", "all", "odd", "keep", "x", folder=ground.folder) as program:
        await program.wait_for("odd keep x on 2 sites: cern, fnal? [y/N] ")
        program.type(answer)
        assert await program.ended() == code
        await program.wait_for(f"2 sites: {said}")


async def test_colours_are_for_terminals_that_want_them(ground: Ground) -> None:
    await ground.site("cern")
    words = ("--config", str(ground.console().config), "sites")
    async with on_terminal(*words, folder=ground.folder) as coloured:
        await coloured.ended()
        await coloured.wait_for("cern")
    async with on_terminal(*words, folder=ground.folder, NO_COLOR="1") as grey:
        await grey.ended()
        await grey.wait_for("cern")
    async with in_pipe(*words, folder=ground.folder) as piped:
        await piped.ended()
    assert "\x1b[32m" in coloured.text
    assert "\x1b[32m" not in grey.text
    assert "\x1b" not in piped.text
