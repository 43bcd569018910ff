"""Commands that stream, at the console: lines as they come, until somebody or something ends them."""

import asyncio
import json
import signal
from typing import Any

from admin_console import Console
from amon.job import ExitCode
from amon.wire import Output
from amon.words import State
from site_agent.agent import Agent
from tests.admin_console.ground import Ground
from tests.admin_console.programs import Program, in_pipe
from tests.waiting import until


async def at_work(agent: Agent, calls: int) -> None:
    """Until so many calls are under way there, well before a site would miss a console that is gone."""
    await until(lambda: agent.node.dispatch.under_way() == calls)


def run(ground: Ground, *words: str) -> tuple[str, ...]:
    return "--config", str(ground.console().config), "run", *words


async def test_lines_come_until_ctrl_c_and_the_end_is_told(ground: Ground) -> None:
    agent = await ground.site("cern")
    async with in_pipe(*run(ground, "all", "odd", "follow", "spring"), folder=ground.folder) as program:
        await program.wait_for("spring")
        program.process.send_signal(signal.SIGINT)
        assert await program.ended() == ExitCode.all_done
    assert "cern: done" in program.text
    assert "stopped by you" in program.text
    assert program.text.count("cern streams; Ctrl-C or --for ends it") == 1, "nobody sits there: the log says it, once"
    await at_work(agent, 0)


async def test_of_several_sites_each_line_has_its_site_in_front(ground: Ground) -> None:
    await ground.site("cern")
    await ground.site("desy")
    async with in_pipe(*run(ground, "--for", "1s", "all", "odd", "follow", "x"), folder=ground.folder) as program:
        assert await program.ended() == ExitCode.all_done
    assert "cern: x" in program.text
    assert "desy: x" in program.text
    assert "streams;" not in program.text, "who said how long knows"


async def test_a_console_that_is_terminated_takes_its_sessions_with_it(ground: Ground) -> None:
    agent = await ground.site("cern")
    async with in_pipe(*run(ground, "all", "odd", "follow", "spring"), folder=ground.folder) as program:
        await program.wait_for("spring")
        await at_work(agent, 1)
        program.process.send_signal(signal.SIGTERM)
        await program.ended()
        await at_work(agent, 0)


async def test_a_program_reads_a_line_of_json_for_each_part(ground: Ground) -> None:
    await ground.site("cern")
    words = ("--for", "1s", "-o", "jsonl", "cern", "odd", "follow", "x")
    async with in_pipe(*run(ground, *words), folder=ground.folder) as program:
        assert await program.ended() == ExitCode.all_done
    documents = _documents(program)
    assert documents[0]["site"] == "cern"
    assert documents[0]["items"]
    assert documents[-1]["summary"]["exit"] == 0


def _documents(program: Program) -> list[dict[str, Any]]:
    return [json.loads(line) for line in program.text.splitlines() if line.startswith("{")]


async def test_a_script_hears_it_and_ends_it_by_leaving(ground: Ground) -> None:
    agent = await ground.site("cern")
    heard: list[str] = []
    spoke = asyncio.Event()

    async def hear(site: str, output: Output) -> None:
        heard.extend(f"{site}: {line}" for line in output.lines)
        spoke.set()

    async with Console(setup=ground.console()) as console:
        running = console.run("cern", "odd follow x")
        running.on_output = hear
        waiting = asyncio.create_task(running.finish())
        async with asyncio.timeout(15):
            await spoke.wait()
        waiting.cancel()
        await asyncio.wait((waiting,))
        await at_work(agent, 0)
    assert heard[0].startswith("cern: x")
    assert running.book["cern"].state is not State.lost


async def test_a_script_says_how_long_it_listens(ground: Ground) -> None:
    await ground.site("cern")
    async with Console(setup=ground.console()) as console:
        running = console.run("cern", "odd follow x", lasts=0.5)
        running.on_output = lambda site, output: None
        report = await running.finish()
    assert report.exit is ExitCode.all_done
    assert "stopped by you" in report.book["cern"].text
