"""Somebody who reads a session far too slowly: takes a part, thinks for long, takes the next.

A program: `python -m tests.soak.slow CONSOLE.TOML`. It ends when stdin is closed and prints one JSON object; a session
that has ended is begun anew.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

from admin_console.api import Console
from admin_console.session import Session
from amon.errors import Failed
from amon.ids import new_id
from amon.wire import Ended, Heard, Output, Request, encode

_SITE, _LINE = "steady", "service follow talker"
_THINKS = 20.0  # seconds for each part; the site gives up after 90 without a word
_AGAIN = 30.0  # seconds until a session that has ended is begun anew


async def read(session: Session, counts: Counter[str]) -> None:
    """One session, to its end."""
    fleet, ident = session.fleet, new_id(time.time())
    to = fleet.sites[_SITE].address
    with fleet.mail(ident) as letters:
        ask = Request(ident, (_SITE,), _LINE, 3600.0)
        fleet.connection.send_payload(to, encode(ask), id=f"{ident}-ask")
        async with asyncio.timeout(3600):
            while True:
                payload = (await letters.get()).payload
                if isinstance(payload, Ended):
                    counts["sessions ended"] += 1
                    return
                if isinstance(payload, Output):
                    counts["lines read slowly"] += len(payload.items) or payload.text.count("\n") + 1
                    counts["lines missed"] += payload.missed
                    await asyncio.sleep(_THINKS)
                    fleet.connection.send_payload(to, encode(Heard(ident, payload.seq)), id=f"{ident}-heard")


async def live(config: Path) -> Counter[str]:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    counts: Counter[str] = Counter()
    async with Console(config) as console:
        print("online", flush=True)
        reading = asyncio.create_task(again_and_again(console.session, counts))
        closing = asyncio.create_task(lines.read())
        await asyncio.wait((reading, closing), return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            reading.result()
        reading.cancel()
        await asyncio.wait((reading,))
    return counts


async def again_and_again(session: Session, counts: Counter[str]) -> None:
    while True:
        try:
            async with asyncio.timeout(300):  # a server that went down takes the session with it, without a word
                await read(session, counts)
        except (Failed, TimeoutError):
            pass
        await asyncio.sleep(_AGAIN)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(live(Path(sys.argv[1])))))
