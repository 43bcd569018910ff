"""A console that stays: asks all sites again and again, through whatever happens, and tells how the answers came.

A program: `python -m tests.soak.asker CONSOLE.TOML`. Ends when stdin is closed; prints one JSON object.
"""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

from admin_console.api import Console
from amon.errors import Failed, Refused

_PAUSE = 2.0  # seconds
_LINES = ("uptime", "status", "maintenance begin 1h soak", "host disks", "maintenance end")


async def ask(console: Console, states: Counter[str]) -> None:
    number = 0
    while True:
        line = _LINES[number % len(_LINES)]
        number += 1
        try:
            report = await console.run("all", line, deadline=8.0, accept_by=4.0, yes=True).finish()
            states.update({f"{state}": count for state, count in report.book.counts().items()})
        except (Failed, Refused):
            states["not sent"] += 1
        states["jobs"] += 1
        await asyncio.sleep(_PAUSE)


async def live(config: Path) -> Counter[str]:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    states: Counter[str] = Counter()
    async with Console(config) as console:
        print("online", flush=True)
        asking = asyncio.create_task(ask(console, states))
        closing = asyncio.create_task(lines.read())
        await asyncio.wait((asking, closing), return_when=asyncio.FIRST_COMPLETED)
        if asking.done():
            asking.result()  # it never ends by itself: this raises what broke it
        asking.cancel()
        await asyncio.wait((asking,))
    return states


if __name__ == "__main__":
    print(json.dumps(asyncio.run(live(Path(sys.argv[1])))))
