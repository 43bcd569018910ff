"""An agent with one service instance, in a process of its own, to be killed: `agent.py STATE SETTINGS-IN-TOML`."""

import asyncio
import logging
import sys
import tomllib
from pathlib import Path

from amon.clock import SystemClock
from amon.convert import from_data
from amon.errors import Problem
from amon.testing import stage
from modules.service import ServiceModule, Settings


async def main(state: Path, text: str) -> None:
    problems: list[Problem] = []
    settings = from_data(tomllib.loads(text), Settings, "", problems)
    assert not problems, problems
    async with stage(ServiceModule, settings, clock=SystemClock(), state=state) as site:
        while True:
            states = {name: f"{part.state}: {part.text}" for name, part in site.health.parts.items()}
            pids = {name: keeper.seen.pids for name, keeper in site.module._keepers.items()}
            print(states, pids, flush=True)
            line = await asyncio.to_thread(sys.stdin.readline)
            if not line:
                return
            print(await site.say(line.strip()), flush=True)


logging.basicConfig(level="INFO")
asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
